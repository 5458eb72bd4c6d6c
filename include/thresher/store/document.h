// Documents in memory, and where they come from.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/base/hash.h"

namespace thresher::store {

// Why a document cannot be scored, as import found it; `/doc/status` in the corpus. Names are in its attribute `names`.
enum class Intake : std::uint8_t {
  ok = 0,
  invalid_utf8 = 1,
  not_json = 2,
  missing_field = 3,
  wrong_type = 4,
  too_long = 5,  // over the document limit
  empty = 6,     // no text
  bad_id = 7,    // an id that is too long or not text
  damaged = 8,   // its compressed file broke off here
  no_tokens = 9  // the tokenizer gave up
};
inline constexpr std::uint8_t intake_count = 10;
std::string_view name_of(Intake intake);

// A span of consecutive documents of the corpus, flat: document i holds [offsets[i], offsets[i + 1]) of text (bytes) or
// of tokens.
struct Documents {
  std::int64_t first = 0;                 // number of the first one in the corpus
  std::vector<std::uint64_t> offsets{0};  // count + 1, from 0
  std::string text;                       // UTF-8; empty for a token corpus
  std::vector<std::uint32_t> tokens;      // empty for a text corpus
  std::vector<Intake> status;             // count
  std::vector<std::int64_t> split;        // pairs only, count: where the continuation begins (byte, or token)
  std::vector<std::int64_t> bytes;        // token corpora only, count: UTF-8 bytes of the text, or of the continuation
  std::vector<std::int64_t> words;        // token corpora only, count: words of the same

  std::int64_t count() const { return static_cast<std::int64_t>(offsets.size()) - 1; }
  std::string_view text_of(std::int64_t i) const {
    return std::string_view(text).substr(offsets[i], offsets[i + 1] - offsets[i]);
  }
  std::span<const std::uint32_t> tokens_of(std::int64_t i) const {
    return std::span(tokens).subspan(offsets[i], offsets[i + 1] - offsets[i]);
  }
};

// Words as lm-evaluation-harness counts them for word perplexity: the pieces of re.split(r"\s+", text), so that
// leading or trailing white space adds an empty piece.
std::int64_t count_words(std::string_view text);

struct CorpusInfo {
  std::int64_t documents = 0;
  std::int64_t text_bytes = 0;  // size of /doc/text, or 0
  std::int64_t tokens = 0;      // size of /doc/tokens, or 0
  bool pairs = false;           // has /doc/split
  std::string tokenizer;        // fingerprint of the tokenizer that made the tokens; empty for text
  std::string source_digest;    // XXH3-128 of the imported files' bytes, empty if unknown
};

// A corpus open for reading. HDF5 is not thread-safe: every call takes the library's lock, so calls from several
// threads are safe but take turns.
class Source {
 public:
  virtual ~Source() = default;
  virtual const CorpusInfo& info() const = 0;
  // Documents [first, first + count).
  virtual Documents read(std::int64_t first, std::int64_t count) = 0;
  // Their ids.
  virtual std::vector<std::string> ids(std::int64_t first, std::int64_t count) = 0;
  // Offsets [first, first + count] of /doc/offsets as they are in the file (count + 1 values).
  virtual std::vector<std::uint64_t> offsets(std::int64_t first, std::int64_t count) = 0;
  // Identity of everything that a score depends on: reads the whole corpus once.
  virtual base::Digest digest() = 0;
};

// Opens a corpus that import (or any program that follows data/README.md) wrote. Refuses external storage, external and
// soft links, virtual datasets, unknown filters; checks types, sizes and monotonic offsets when they are read.
// Documents over `document_limit` (bytes; or tokens, then also over 16 Mi) and invalid UTF-8 come back as a status,
// without text. Throws base::Error: no_input, data.
std::unique_ptr<Source> open_corpus(const base::Path& path, std::int64_t document_limit = 64 << 20);

// True if the file begins as HDF5 files do.
bool is_hdf5(base::FileSystem& files, const base::Path& path);

}  // namespace thresher::store
