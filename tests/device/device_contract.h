// What every Device has to pass: each step against a naive reference in double precision, on odd shapes, strided views
// and poisoned outputs, and the same bits for the same row in any company.
#pragma once

#include <string>
#include <vector>

#include "thresher/device/device.h"

namespace thresher::device::contract {

void check_embed(Device& device);
void check_norm(Device& device);
void check_rope(Device& device);
void check_gate(Device& device);
void check_matmul(Device& device);
// Products and their gate as one step against the two, to the bit.
void check_matmul_gate(Device& device);
void check_int8(Device& device);
void check_attend(Device& device);
void check_attend_of(Device& device, DType dtype, DType out);  // of inputs and output
void check_score(Device& device);
void check_queue(Device& device);
void check_queued_copies(Device& device);
void check_score_ties(Device& device);
void check_score_of_broken_logits(Device& device);

// Parts of a step, as ranks of a tensor-parallel group hold them, against the whole, to the bit.
void check_pieces(Device& device);
void check_columns(Device& device);
void check_embed_of_part(Device& device);
void check_attend_of_part(Device& device);
// Sequences that begin with rows of others against the same ones whole, to the bit; of devices that share prefixes.
void check_attend_of_shared(Device& device);
void check_split_vocabulary(Device& device);

// Weights that live on the host.
void check_bring(Device& device);

// Two devices that have to agree to the bit, e.g. with one thread and with two; and what differs between them: a
// sequence's rows in a batch on `one`, and on either device alone or on `other` among others.
void check_same_bits(Device& one, Device& other);
void check_same_products(Device& one, Device& other);
void check_same_attend(Device& one, Device& other);
std::vector<std::string> changed_bits(Device& one, Device& other, DType dtype);

}  // namespace thresher::device::contract
