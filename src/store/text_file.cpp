#include "store/text_file.h"

namespace thresher::store {
namespace {
constexpr std::size_t write_block = std::size_t{1} << 20;
}

void Appender::append(std::string_view bytes) {
  pending_ += bytes;
  if (pending_.size() >= write_block) flush();
}

void Appender::flush() {
  if (pending_.empty()) return;
  file_->write_at(written_, std::as_bytes(std::span(pending_)));
  written_ += static_cast<std::int64_t>(pending_.size());
  pending_.clear();
}

TextFile::TextFile(base::FileSystem& files, base::Path path)
    : files_(files),
      path_(std::move(path)),
      temporary_(files.temporary_name(path_)),
      file_(std::make_unique<Appender>(files, temporary_)) {}

TextFile::~TextFile() {
  if (!file_) return;
  file_.reset();
  base::remove_quietly(files_, temporary_);
}

void TextFile::publish() {
  file_->flush();
  file_->sync();
  files_.rename(temporary_, path_);
  file_.reset();
  files_.sync_directory(path_.parent_path());
}

}  // namespace thresher::store
