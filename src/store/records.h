// Blocks of text to rows of the corpus.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/block.h"
#include "thresher/store/import.h"

namespace thresher::store {

inline constexpr std::size_t longest_id = 256;  // bytes

// Rows of one block, as columns. Rejected rows have no content.
struct Records {
  struct Note {
    std::int64_t row = 0;  // in this block
    std::int64_t line = 0;
    std::string reason;
  };

  std::shared_ptr<const base::Path> file;
  std::string text;                   // UTF-8, or
  std::vector<std::uint32_t> tokens;  // with an encoder
  std::vector<std::int64_t> lengths;  // per row, bytes or tokens
  std::vector<Intake> status;
  std::vector<std::int64_t> split, bytes, words;
  std::string ids;
  std::vector<std::int32_t> id_lengths;  // -1: no id, the row's number will do
  std::vector<Note> notes;               // one for each rejected row
  std::int64_t text_bytes = 0;
};

// One for each thread: keeps its buffers.
class RecordParser {
 public:
  explicit RecordParser(const ImportOptions& options);
  ~RecordParser();
  RecordParser(const RecordParser&) = delete;

  Records parse(const Block& block);

 private:
  struct Json;
  void parse_jsonl(const Block& block);
  void parse_json(std::string_view line, std::int64_t number);
  void parse_lines(const Block& block);
  void parse_paragraphs(const Block& block);
  void add_paragraph(std::string_view text, std::int64_t line);
  void add(std::string_view id, std::string_view text, std::int64_t split, std::int64_t line);
  void reject(std::string_view id, Intake intake, std::string reason, std::int64_t line);
  void add_id(std::string_view id);

  const ImportOptions& options_;
  std::unique_ptr<Json> json_;
  std::vector<std::uint32_t> tokens_;
  Records records_;
};

}  // namespace thresher::store
