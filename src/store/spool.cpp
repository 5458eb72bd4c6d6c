#include "store/spool.h"

#include <algorithm>

#include "thresher/base/check.h"

namespace thresher::store {
namespace {

constexpr std::array<const char*, spool_column_count> column_names{"content", "lengths", "status",     "split", "bytes",
                                                                   "words",   "ids",     "id_lengths", "notes"};
constexpr std::size_t read_block = std::size_t{1} << 20;

struct NoteHeader {
  std::int64_t row, line;
  std::uint32_t status, file_bytes, id_bytes, reason_bytes;
};
static_assert(sizeof(NoteHeader) == 32);

template <class T>
std::span<const T> whole(const std::vector<T>& values) {
  return values;
}

}  // namespace

base::Path spool_path(const base::Path& spool, SpoolColumn column) {
  return spool.string() + "." + column_names[static_cast<std::size_t>(column)];
}

void remove_spool(base::FileSystem& files, const base::Path& spool) noexcept {
  for (std::size_t i = 0; i < spool_column_count; ++i)
    base::remove_quietly(files, spool_path(spool, static_cast<SpoolColumn>(i)));
}

bool narrow_tokens(const ImportOptions& options) {
  return options.vocabulary > 0 && options.vocabulary <= 65536;
}

SpoolWriter::SpoolWriter(base::FileSystem& files, const base::Path& spool, const ImportOptions& options)
    : options_(options) {
  remove_spool(files, spool);  // of a process that died
  for (std::size_t i = 0; i < spool_column_count; ++i) {
    columns_[i] = std::make_unique<Appender>(files, spool_path(spool, static_cast<SpoolColumn>(i)));
  }
}

void SpoolWriter::append(const Records& records) {
  append_content(records);
  column(SpoolColumn::lengths).append(whole(records.lengths));
  column(SpoolColumn::status).append(whole(records.status));
  if (!options_.context_field.empty()) column(SpoolColumn::split).append(whole(records.split));
  column(SpoolColumn::bytes).append(whole(records.bytes));
  column(SpoolColumn::words).append(whole(records.words));
  column(SpoolColumn::ids).append(records.ids);
  column(SpoolColumn::id_lengths).append(whole(records.id_lengths));
  append_notes(records);
  rows_ += static_cast<std::int64_t>(records.status.size());
}

void SpoolWriter::append_content(const Records& records) {
  if (!options_.encode) return column(SpoolColumn::content).append(records.text);
  if (!narrow_tokens(options_)) return column(SpoolColumn::content).append(whole(records.tokens));
  std::vector<std::uint16_t> narrow;
  narrow.reserve(records.tokens.size());
  for (const std::uint32_t token : records.tokens) {
    if (token >= options_.vocabulary) {
      base::fail(base::Exit::internal,
                 "token " + std::to_string(token) + " in a vocabulary of " + std::to_string(options_.vocabulary));
    }
    narrow.push_back(static_cast<std::uint16_t>(token));
  }
  column(SpoolColumn::content).append(whole(narrow));
}

void SpoolWriter::append_notes(const Records& records) {
  std::size_t id_offset = 0;
  std::int64_t row = 0;
  for (const Records::Note& note : records.notes) {
    for (; row < note.row; ++row)
      id_offset += static_cast<std::size_t>(std::max(records.id_lengths[static_cast<std::size_t>(row)], 0));
    const auto at = static_cast<std::size_t>(note.row);
    const std::string_view id =
        std::string_view(records.ids).substr(id_offset, static_cast<std::size_t>(std::max(records.id_lengths[at], 0)));
    const std::string file = records.file->string();
    const NoteHeader header{rows_ + note.row,
                            note.line,
                            static_cast<std::uint32_t>(records.status[at]),
                            static_cast<std::uint32_t>(file.size()),
                            static_cast<std::uint32_t>(id.size()),
                            static_cast<std::uint32_t>(note.reason.size())};
    Appender& notes = column(SpoolColumn::notes);
    notes.append(std::span<const NoteHeader>(&header, 1));
    notes.append(file);
    notes.append(id);
    notes.append(note.reason);
  }
}

void SpoolWriter::finish() {
  for (const std::unique_ptr<Appender>& column : columns_) column->flush();
}

SpoolReader::SpoolReader(base::FileSystem& files, const base::Path& spool, SpoolColumn column)
    : file_(files.open(spool_path(spool, column), base::Links::refuse)) {}

std::string_view SpoolReader::next(std::size_t most) {
  if (at_ == buffer_.size()) {
    buffer_.resize(static_cast<std::size_t>(std::min<std::int64_t>(left(), static_cast<std::int64_t>(read_block))));
    file_->read_at(position_, std::as_writable_bytes(std::span(buffer_)));
    at_ = 0;
  }
  const std::string_view piece = std::string_view(buffer_).substr(at_, most);
  at_ += piece.size();
  position_ += static_cast<std::int64_t>(piece.size());
  return piece;
}

void SpoolReader::take(char* out, std::size_t bytes) {
  while (bytes > 0) {
    const std::string_view piece = next(bytes);
    if (piece.empty()) base::fail(base::Exit::data, "a spool of this import was cut: was it changed meanwhile?");
    out = std::copy(piece.begin(), piece.end(), out);
    bytes -= piece.size();
  }
}

std::string SpoolReader::take_text(std::size_t bytes) {
  std::string text(bytes, '\0');
  take(text.data(), bytes);
  return text;
}

SpoolNote take_note(SpoolReader& notes) {
  const auto header = notes.take<NoteHeader>();
  SpoolNote note{header.row, header.line, static_cast<Intake>(header.status), {}, {}, {}};
  note.file = notes.take_text(header.file_bytes);
  note.id = notes.take_text(header.id_bytes);
  note.reason = notes.take_text(header.reason_bytes);
  return note;
}

}  // namespace thresher::store
