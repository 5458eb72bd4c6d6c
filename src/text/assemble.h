// A tokenizer.json's fields to the parts that they describe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/added.h"
#include "text/decode.h"
#include "text/json_tree.h"
#include "text/model.h"
#include "text/normalise.h"
#include "text/pretokenize.h"
#include "thresher/text/tokenizer.h"

namespace thresher::text {

// The whole document; `json` are its bytes, for the fingerprint.
std::unique_ptr<Tokenizer> assemble_tokenizer(const Field& root, std::string_view json);

// Sequences are flattened; a missing or null field gives none. All throw base::Error as load_tokenizer does.
std::vector<std::unique_ptr<Normaliser>> read_normalisers(const Field& field);
std::vector<std::unique_ptr<PreTokenizer>> read_pre_tokenizers(const Field& field, bool last_byte_level_as_bytes);
std::vector<std::unique_ptr<Decoder>> read_decoders(const Field& field);

// Whether the last pre-tokenizer is ByteLevel.
bool ends_in_byte_level(const Field& pre_tokenizer);

// With `byte_words` the words come as bytes where the model can take them; says so in `byte_words`.
std::unique_ptr<Model> read_model(const Field& field, bool& byte_words);

// Pattern of a Split or Replace: {"String": ...} or {"Regex": ...}.
Pattern read_pattern(const Field& field);

}  // namespace thresher::text
