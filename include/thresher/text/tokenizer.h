// Characters to tokens, token for token as Hugging Face `tokenizers` does it for the same tokenizer.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace thresher::text {

using TokenId = std::uint32_t;

// One tokenizer. Immutable after loading: every method may be called from many threads at once.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // The ids of valid UTF-8 text, appended to `ids`. With `special`, what the tokenizer's own post-processor adds
  // around a single sequence (BOS, [CLS] ... [SEP]) is included. Nothing is ever cut off or filled up: the file's
  // "truncation" and "padding" are not read. Throws base::Error (data) only for text that is not UTF-8, that the format
  // itself makes impossible to encode (no unknown token), or on which a pattern of the file takes longer than its
  // limit; `ids` may then hold a part.
  virtual void encode(std::string_view text, bool special, std::vector<TokenId>& ids) const = 0;

  // The text of ids; `skip_special` leaves special tokens out. Unknown ids are skipped.
  virtual std::string decode(std::span<const TokenId> ids, bool skip_special) const = 0;

  // Number of ids, added tokens included: every id that encode returns is below it.
  virtual std::int64_t vocabulary_size() const = 0;

  // The id of a token by its exact content ("<s>"), added tokens included.
  virtual std::optional<TokenId> id_of(std::string_view token) const = 0;

  // The content of a token ("Ġthe"), empty for an id that no token has.
  virtual std::string token_of(TokenId id) const = 0;

  // What the post-processor puts before and after a single sequence.
  virtual std::span<const TokenId> special_prefix() const = 0;
  virtual std::span<const TokenId> special_suffix() const = 0;

  // XXH3-128 (32 hex digits) of tokenizer.json's bytes: identity of the tokenizer in corpora and plans.
  virtual const std::string& fingerprint() const = 0;
};

// Reads tokenizer.json. Throws base::Error: no_input (missing), data (malformed; names the field), config (a kind of
// component that is not supported; names it).
std::unique_ptr<Tokenizer> load_tokenizer(const std::filesystem::path& tokenizer_json);

// The same from the file's bytes; `name` is what messages call it.
std::unique_ptr<Tokenizer> parse_tokenizer(std::string_view json, const std::string& name);

}  // namespace thresher::text
