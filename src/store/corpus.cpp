// A corpus file as a Source.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>

#include "store/hdf5_read.h"
#include "thresher/base/check.h"
#include "thresher/store/document.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;
using hdf5::InputColumn;
using hdf5::InputFile;

constexpr std::int64_t newest_version = 1;
constexpr std::int64_t slab = std::int64_t{1} << 20;  // elements read at a time when everything is read
constexpr std::int64_t token_limit = std::int64_t{16} << 20;

class CorpusFile final : public Source {
 public:
  CorpusFile(const base::Path& path, std::int64_t document_limit);
  const CorpusInfo& info() const override { return info_; }
  Documents read(std::int64_t first, std::int64_t count) override;
  std::vector<std::string> ids(std::int64_t first, std::int64_t count) override;
  std::vector<std::uint64_t> offsets(std::int64_t first, std::int64_t count) override;
  base::Digest digest() override;

 private:
  std::optional<InputColumn> optional_column(const std::string& name) const;
  void mark(Documents& documents, std::span<const std::uint64_t> offsets) const;
  void read_content(Documents& documents, std::span<const std::uint64_t> offsets) const;
  void check_content(Documents& documents) const;
  void add_numbers(base::Hasher& hasher, const std::optional<InputColumn>& column) const;

  std::string name_;
  InputFile file_;
  std::int64_t document_limit_;
  CorpusInfo info_;
  InputColumn offsets_;
  std::optional<InputColumn> text_, tokens_, ids_, status_, split_, bytes_, words_;
};

CorpusFile::CorpusFile(const base::Path& path, std::int64_t document_limit)
    : name_(path.string()),
      file_(base::real_files(), path),
      document_limit_(document_limit),
      offsets_(file_.column("/doc/offsets")) {
  if (const std::string format = file_.text_attribute("format").value_or("thresher-corpus");
      format != "thresher-corpus") {
    fail(Exit::data, fmt::format("{} is a {} file, expected a thresher-corpus", name_, format));
  }
  if (const std::int64_t version = file_.integer_attribute("version").value_or(1);
      version < 1 || version > newest_version) {
    fail(Exit::data,
         fmt::format("{} is a corpus of version {}, this program reads up to {}", name_, version, newest_version));
  }
  text_ = optional_column("/doc/text");
  tokens_ = optional_column("/doc/tokens");
  if (text_.has_value() == tokens_.has_value()) {
    fail(Exit::data, fmt::format("{} has {} /doc/text and /doc/tokens, expected exactly one of them", name_,
                                 text_ ? "both" : "neither"));
  }
  if (offsets_.rows() < 1) fail(Exit::data, name_ + ": /doc/offsets is empty, expected one number more than documents");
  info_.documents = offsets_.rows() - 1;
  for (auto [column, name] : {std::pair{&ids_, "/doc/id"},
                              {&status_, "/doc/status"},
                              {&split_, "/doc/split"},
                              {&bytes_, "/doc/bytes"},
                              {&words_, "/doc/words"}}) {
    *column = optional_column(name);
    if (*column) (*column)->expect(info_.documents);
  }
  const InputColumn& content = text_ ? *text_ : *tokens_;
  content.expect(content.rows());
  if (text_ && text_->type_size() != 1) {
    fail(Exit::data, fmt::format("{}: /doc/text holds {}, expected uint8 (UTF-8 bytes)", name_, text_->type_name()));
  }
  (text_ ? info_.text_bytes : info_.tokens) = content.rows();
  info_.pairs = split_.has_value();
  info_.tokenizer = file_.text_attribute("tokenizer").value_or("");
  info_.source_digest = file_.text_attribute("source_digest").value_or("");
  const std::uint64_t first = offsets_.read<std::uint64_t>(0, 1)[0];
  const std::uint64_t last = offsets_.read<std::uint64_t>(info_.documents, 1)[0];
  if (first != 0 || last != static_cast<std::uint64_t>(content.rows())) {
    fail(Exit::data, fmt::format("{}: /doc/offsets goes from {} to {}, expected 0 to {} (the size of {})", name_, first,
                                 last, content.rows(), text_ ? "/doc/text" : "/doc/tokens"));
  }
}

std::optional<InputColumn> CorpusFile::optional_column(const std::string& name) const {
  return file_.has(name) ? std::optional<InputColumn>(file_.column(name)) : std::nullopt;
}

std::vector<std::uint64_t> CorpusFile::offsets(std::int64_t first, std::int64_t count) {
  std::vector<std::uint64_t> values = offsets_.read<std::uint64_t>(first, count + 1);
  const std::uint64_t size = static_cast<std::uint64_t>(text_ ? info_.text_bytes : info_.tokens);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint64_t least = i == 0 ? 0 : values[i - 1];
    if (values[i] < least || values[i] > size) {
      fail(Exit::data, fmt::format("{}: /doc/offsets[{}] is {}, expected {} to {}", name_,
                                   first + static_cast<std::int64_t>(i), values[i], least, size));
    }
  }
  return values;
}

Documents CorpusFile::read(std::int64_t first, std::int64_t count) {
  const std::vector<std::uint64_t> source = offsets(first, count);
  Documents documents;
  documents.first = first;
  documents.status.assign(static_cast<std::size_t>(count), Intake::ok);
  if (status_) {
    const std::vector<std::uint8_t> status = status_->read<std::uint8_t>(first, count);
    for (std::size_t i = 0; i < status.size(); ++i) {
      if (status[i] >= intake_count) {
        fail(Exit::data, fmt::format("{}: /doc/status[{}] is {}, expected at most {}", name_,
                                     first + static_cast<std::int64_t>(i), status[i], intake_count - 1));
      }
      documents.status[i] = static_cast<Intake>(status[i]);
    }
  }
  if (split_) documents.split = split_->read<std::int64_t>(first, count);
  if (tokens_) {
    const std::vector<std::int64_t> zeros(static_cast<std::size_t>(count), 0);
    documents.bytes = bytes_ ? bytes_->read<std::int64_t>(first, count) : zeros;
    documents.words = words_ ? words_->read<std::int64_t>(first, count) : zeros;
  }
  mark(documents, source);
  read_content(documents, source);
  check_content(documents);
  return documents;
}

// What can be said before the content is read.
void CorpusFile::mark(Documents& documents, std::span<const std::uint64_t> offsets) const {
  for (std::size_t i = 0; i < documents.status.size(); ++i) {
    if (documents.status[i] != Intake::ok) continue;
    const auto size = static_cast<std::int64_t>(offsets[i + 1] - offsets[i]);
    if (size == 0) documents.status[i] = Intake::empty;
    if (size > (text_ ? document_limit_ : std::min(document_limit_, token_limit)))
      documents.status[i] = Intake::too_long;
    if (split_ && (documents.split[i] < 0 || documents.split[i] > size)) documents.status[i] = Intake::wrong_type;
  }
}

// Reads runs of documents that will be used; the others come back without content.
void CorpusFile::read_content(Documents& documents, std::span<const std::uint64_t> offsets) const {
  const auto count = documents.status.size();
  for (std::size_t i = 0; i < count;) {
    std::size_t end = i;
    while (end < count && documents.status[end] == Intake::ok) ++end;
    const std::uint64_t base = documents.offsets.back();
    for (std::size_t k = i; k < end; ++k) documents.offsets.push_back(base + offsets[k + 1] - offsets[i]);
    const auto begin = static_cast<std::int64_t>(offsets[i]);
    const std::size_t size = offsets[end] - offsets[i];
    if (text_) {
      documents.text.resize(base + size);
      text_->read(begin, std::span(reinterpret_cast<std::uint8_t*>(documents.text.data()) + base, size));
    } else {
      documents.tokens.resize(base + size);
      tokens_->read(begin, std::span(documents.tokens).subspan(base));
    }
    for (i = end; i < count && documents.status[i] != Intake::ok; ++i)
      documents.offsets.push_back(documents.offsets.back());
  }
}

// A corpus need not come from import: invalid text must not reach the tokenizer.
void CorpusFile::check_content(Documents& documents) const {
  if (!text_) return;
  for (std::int64_t i = 0; i < documents.count(); ++i) {
    const std::string_view text = documents.text_of(i);
    Intake& status = documents.status[static_cast<std::size_t>(i)];
    if (status == Intake::ok && !simdjson::validate_utf8(text.data(), text.size())) status = Intake::invalid_utf8;
  }
}

std::vector<std::string> CorpusFile::ids(std::int64_t first, std::int64_t count) {
  if (ids_) return ids_->read_text(first, count);
  if (first < 0 || count < 0 || first > info_.documents - count) {
    fail(Exit::internal, fmt::format("ids {} to {} of {}", first, first + count, info_.documents));
  }
  std::vector<std::string> numbers;
  for (std::int64_t i = first; i < first + count; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

void CorpusFile::add_numbers(base::Hasher& hasher, const std::optional<InputColumn>& column) const {
  hasher.add(column ? "+" : "-");
  if (!column) return;
  for (std::int64_t first = 0; first < column->rows(); first += slab) {
    const auto values = column->read<std::int64_t>(first, std::min(slab, column->rows() - first));
    hasher.add(std::as_bytes(std::span(values)));
  }
}

// Over values, not their representation: the same documents with uint16 or uint32 tokens have one identity.
base::Digest CorpusFile::digest() {
  base::Hasher hasher;
  hasher.add(fmt::format("thresher-corpus {} {} {}\n", info_.documents, info_.text_bytes, info_.tokens));
  hasher.add(info_.tokenizer);
  for (std::int64_t first = 0; first < info_.documents; first += slab) {
    const auto values = offsets(first, std::min(slab, info_.documents - first));
    hasher.add(std::as_bytes(std::span(values)));
  }
  if (text_) {
    for (std::int64_t first = 0; first < text_->rows(); first += slab) {
      const auto bytes = text_->read<std::uint8_t>(first, std::min(slab, text_->rows() - first));
      hasher.add(std::as_bytes(std::span(bytes)));
    }
  }
  for (const auto* column : {&tokens_, &status_, &split_, &bytes_, &words_}) add_numbers(hasher, *column);
  constexpr std::int64_t some = 65536;
  for (std::int64_t first = 0; first < info_.documents; first += some) {
    for (const std::string& id : ids(first, std::min(some, info_.documents - first))) {
      hasher.add(id);
      hasher.add(std::string_view("\0", 1));
    }
  }
  return hasher.digest();
}

}  // namespace

std::unique_ptr<Source> open_corpus(const base::Path& path, std::int64_t document_limit) {
  return std::make_unique<CorpusFile>(path, document_limit);
}

}  // namespace thresher::store
