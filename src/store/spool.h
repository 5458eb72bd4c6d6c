// Rows between import's two steps: raw columns in files beside each other.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/records.h"
#include "store/text_file.h"
#include "thresher/store/import.h"

namespace thresher::store {

enum class SpoolColumn : std::uint8_t { content, lengths, status, split, bytes, words, ids, id_lengths, notes };
inline constexpr std::size_t spool_column_count = 9;

base::Path spool_path(const base::Path& spool, SpoolColumn column);
void remove_spool(base::FileSystem& files, const base::Path& spool) noexcept;

// Tokens are uint16 when every id of the vocabulary fits.
bool narrow_tokens(const ImportOptions& options);

class SpoolWriter {
 public:
  SpoolWriter(base::FileSystem& files, const base::Path& spool, const ImportOptions& options);
  void append(const Records& records);
  void finish();

 private:
  Appender& column(SpoolColumn name) { return *columns_[static_cast<std::size_t>(name)]; }
  void append_content(const Records& records);
  void append_notes(const Records& records);

  const ImportOptions& options_;
  std::array<std::unique_ptr<Appender>, spool_column_count> columns_;
  std::int64_t rows_ = 0;
};

// One column from front to back.
class SpoolReader {
 public:
  SpoolReader(base::FileSystem& files, const base::Path& spool, SpoolColumn column);
  std::int64_t bytes() const { return file_->size(); }
  std::int64_t left() const { return file_->size() - position_; }
  // Up to `most` bytes; valid until the next call.
  std::string_view next(std::size_t most);
  // Exactly sizeof(T) bytes.
  template <class T>
  T take() {
    T value{};
    take(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  std::string take_text(std::size_t bytes);

 private:
  void take(char* out, std::size_t bytes);

  std::unique_ptr<base::ReadFile> file_;
  std::string buffer_;
  std::size_t at_ = 0;         // in buffer_
  std::int64_t position_ = 0;  // in the file, of what was handed out
};

// A rejected row, as it goes to rejects.jsonl.
struct SpoolNote {
  std::int64_t row = 0, line = 0;
  Intake status = Intake::ok;
  std::string file, id, reason;
};
SpoolNote take_note(SpoolReader& notes);

}  // namespace thresher::store
