// Spools to the corpus file.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "store/hdf5_write.h"
#include "store/json_text.h"
#include "store/spool.h"
#include "thresher/base/check.h"
#include "thresher/base/hash.h"
#include "thresher/store/import.h"

namespace thresher::store {
namespace {

using hdf5::ColumnPlan;
using hdf5::Kind;

constexpr std::size_t copy_block = std::size_t{1} << 20;
constexpr std::int64_t rows_at_once = 65536;

// Digests of the ids seen so far: 8 bytes each, in a table that is at most half full. Two different ids of 10^8 share
// one with a probability of 3e-4, which would report a duplicate too many.
class SeenIds {
 public:
  // False if it was there.
  bool insert(std::string_view id) {
    if (2 * (count_ + 1) > table_.size()) grow();
    std::uint64_t key = 0;
    std::memcpy(&key, base::digest_of(id).bytes.data(), sizeof key);
    return place(key == 0 ? 1 : key);
  }

 private:
  bool place(std::uint64_t key) {
    for (std::size_t at = key & (table_.size() - 1);; at = (at + 1) & (table_.size() - 1)) {
      if (table_[at] == key) return false;
      if (table_[at] != 0) continue;
      table_[at] = key;
      ++count_;
      return true;
    }
  }
  void grow() {
    const std::vector<std::uint64_t> old =
        std::exchange(table_, std::vector<std::uint64_t>(std::max<std::size_t>(1024, 2 * table_.size())));
    count_ = 0;
    for (const std::uint64_t key : old) {
      if (key != 0) place(key);
    }
  }

  std::vector<std::uint64_t> table_;
  std::size_t count_ = 0;
};

class Merge {
 public:
  Merge(std::span<const base::Path> spools, const ImportOptions& options, base::FileSystem& files)
      : spools_(spools), options_(options), files_(files) {}

  // Also finds the widest id and the duplicates. Returns how many there are.
  std::int64_t write_rejects(const base::Path& path);
  void write_corpus(const base::Path& path, const std::string& digest);

 private:
  void append_note(const SpoolNote& note, std::int64_t row);
  std::int64_t scan_ids();
  hdf5::FilePlan plan(const std::string& digest) const;
  std::int64_t column_bytes(SpoolColumn column) const;
  void copy(hdf5::ColumnWriter& writer, std::size_t index, SpoolColumn column) const;
  void write_offsets(hdf5::ColumnWriter& writer) const;
  void write_ids(hdf5::ColumnWriter& writer) const;

  std::span<const base::Path> spools_;
  const ImportOptions& options_;
  base::FileSystem& files_;
  TextFile* rejects_ = nullptr;
  std::int64_t documents_ = 0;
  std::int64_t id_width_ = 1;
};

std::int64_t Merge::column_bytes(SpoolColumn column) const {
  std::int64_t bytes = 0;
  for (const base::Path& spool : spools_) bytes += SpoolReader(files_, spool, column).bytes();
  return bytes;
}

void Merge::append_note(const SpoolNote& note, std::int64_t row) {
  std::string line = fmt::format("{{\"document\": {}, \"id\": ", row);
  append_json(line, note.id.empty() ? std::to_string(row) : note.id);
  if (!note.file.empty()) {
    line += ", \"file\": ";
    append_json(line, note.file);
    line += fmt::format(", \"line\": {}", note.line);
  }
  line += fmt::format(", \"status\": \"{}\", \"reason\": ", name_of(note.status));
  append_json(line, note.reason);
  rejects_->append(line + "}\n");
}

std::int64_t Merge::write_rejects(const base::Path& path) {
  TextFile rejects(files_, path);
  rejects_ = &rejects;
  std::int64_t base = 0;
  for (const base::Path& spool : spools_) {
    SpoolReader notes(files_, spool, SpoolColumn::notes);
    while (notes.left() > 0) {
      const SpoolNote note = take_note(notes);
      append_note(note, base + note.row);
    }
    base += SpoolReader(files_, spool, SpoolColumn::status).bytes();
  }
  documents_ = base;
  const std::int64_t duplicates = scan_ids();
  rejects.publish();
  return duplicates;
}

std::int64_t Merge::scan_ids() {
  SeenIds seen;
  std::int64_t duplicates = 0, row = 0;
  for (const base::Path& spool : spools_) {
    SpoolReader lengths(files_, spool, SpoolColumn::id_lengths), ids(files_, spool, SpoolColumn::ids);
    for (; lengths.left() > 0; ++row) {
      const auto length = lengths.take<std::int32_t>();
      const std::string id = length < 0 ? std::to_string(row) : ids.take_text(static_cast<std::size_t>(length));
      id_width_ = std::max(id_width_, static_cast<std::int64_t>(id.size()));
      if (length < 0 || seen.insert(id)) continue;
      ++duplicates;
      append_note({row, 0, Intake::ok, {}, id, "an earlier document has the same id"}, row);
    }
  }
  return duplicates;
}

hdf5::FilePlan Merge::plan(const std::string& digest) const {
  hdf5::FilePlan plan{"thresher-corpus", 1, {{"source_digest", digest}}, {}};
  if (options_.encode) plan.attributes.emplace_back("tokenizer", options_.tokenizer);
  std::vector<std::string> names;
  for (std::uint8_t i = 0; i < intake_count; ++i) names.emplace_back(name_of(static_cast<Intake>(i)));
  const Kind content = !options_.encode ? Kind::u8 : narrow_tokens(options_) ? Kind::u16 : Kind::u32;
  const std::int64_t size = content == Kind::u8 ? 1 : content == Kind::u16 ? 2 : 4;
  plan.columns = {
      {"/doc/offsets", Kind::u64, documents_ + 1, 1, false, {}},
      {options_.encode ? "/doc/tokens" : "/doc/text", content, column_bytes(SpoolColumn::content) / size, 1, false, {}},
      {"/doc/id", Kind::text, documents_, id_width_, false, {}},
      {"/doc/status", Kind::u8, documents_, 1, false, names}};
  if (!options_.context_field.empty()) plan.columns.push_back({"/doc/split", Kind::i64, documents_, 1, false, {}});
  if (options_.encode) {
    plan.columns.push_back({"/doc/bytes", Kind::i64, documents_, 1, false, {}});
    plan.columns.push_back({"/doc/words", Kind::i64, documents_, 1, false, {}});
  }
  return plan;
}

void Merge::copy(hdf5::ColumnWriter& writer, std::size_t index, SpoolColumn column) const {
  for (const base::Path& spool : spools_) {
    SpoolReader reader(files_, spool, column);
    while (reader.left() > 0) writer.append(index, std::as_bytes(std::span(reader.next(copy_block))));
  }
}

void Merge::write_offsets(hdf5::ColumnWriter& writer) const {
  std::uint64_t offset = 0;
  std::vector<std::uint64_t> offsets{0};
  for (const base::Path& spool : spools_) {
    SpoolReader lengths(files_, spool, SpoolColumn::lengths);
    while (lengths.left() > 0) {
      offset += static_cast<std::uint64_t>(lengths.take<std::int64_t>());
      offsets.push_back(offset);
      if (static_cast<std::int64_t>(offsets.size()) < rows_at_once) continue;
      writer.append(0, offsets);
      offsets.clear();
    }
  }
  writer.append(0, offsets);
}

void Merge::write_ids(hdf5::ColumnWriter& writer) const {
  std::vector<std::string> some;
  std::int64_t row = 0;
  for (const base::Path& spool : spools_) {
    SpoolReader lengths(files_, spool, SpoolColumn::id_lengths), ids(files_, spool, SpoolColumn::ids);
    for (; lengths.left() > 0; ++row) {
      const auto length = lengths.take<std::int32_t>();
      some.push_back(length < 0 ? std::to_string(row) : ids.take_text(static_cast<std::size_t>(length)));
      if (static_cast<std::int64_t>(some.size()) < rows_at_once) continue;
      writer.append_text(2, some);
      some.clear();
    }
  }
  writer.append_text(2, some);
}

void Merge::write_corpus(const base::Path& path, const std::string& digest) {
  hdf5::FilePlan file = plan(digest);
  hdf5::Layout layout = hdf5::lay_out(file);
  hdf5::ColumnWriter writer(files_, path, std::move(file), std::move(layout));
  write_offsets(writer);
  copy(writer, 1, SpoolColumn::content);
  write_ids(writer);
  copy(writer, 3, SpoolColumn::status);
  std::size_t index = 4;
  if (!options_.context_field.empty()) copy(writer, index++, SpoolColumn::split);
  if (options_.encode) {
    copy(writer, index++, SpoolColumn::bytes);
    copy(writer, index++, SpoolColumn::words);
  }
  writer.publish();
}

struct SpoolRemover {
  base::FileSystem& files;
  std::span<const base::Path> spools;
  ~SpoolRemover() {
    for (const base::Path& spool : spools) remove_spool(files, spool);
  }
};

}  // namespace

ImportReport merge_spools(std::span<const base::Path> spools, std::span<const ImportReport> reports,
                          const base::Path& output, const base::Path& rejects, const ImportOptions& options,
                          base::FileSystem& files) {
  const SpoolRemover remover{files, spools};
  ImportReport total;
  std::string digests;
  for (const ImportReport& report : reports) {
    total.documents += report.documents;
    total.rejected += report.rejected;
    total.input_bytes += report.input_bytes;
    total.text_bytes += report.text_bytes;
    digests += report.digest;
  }
  total.digest = base::digest_of(digests).hex();
  Merge merge(spools, options, files);
  total.duplicates = merge.write_rejects(rejects);
  merge.write_corpus(output, total.digest);
  return total;
}

}  // namespace thresher::store
