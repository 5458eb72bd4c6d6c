// The streamed head's two steps put together, for a head that holds the whole vocabulary: final numbers to compare.
#pragma once

#include "thresher/device/device.h"

namespace thresher::device::contract {

// One row each for the rows of `hidden`; views not wanted are empty. Natural logarithms. A row with a NaN or +inf among
// its logits gets NaN for logprob and entropy.
struct ScoreOutput {
  Tensor logprob;      // f32, 1 x rows: log-softmax of the target
  Tensor rank;         // i32, 1 x rows: tokens with a greater logit, plus those with an equal logit and a lower id
  Tensor entropy;      // f32, 1 x rows: of the whole distribution
  Tensor top_id;       // i32, rows x K, by falling logit, ties by rising id; -1 past the vocabulary
  Tensor top_logprob;  // f32, rows x K
};

// targets i32, 1 x rows.
void score_whole(Device& device, const Tensor& hidden, const Weight& head, const Tensor& targets,
                 const ScoreOutput& out);

}  // namespace thresher::device::contract
