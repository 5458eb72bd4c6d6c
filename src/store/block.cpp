#include "store/block.h"

#include <fmt/format.h>

#include <algorithm>

namespace thresher::store {
namespace {

constexpr std::size_t block_bytes = std::size_t{1} << 20;
constexpr std::int64_t slack = 4096;  // line ends and the like; the parser checks the limits to the byte
constexpr std::string_view mark = "\xef\xbb\xbf";
constexpr std::size_t readable_behind = 64;  // simdjson reads beyond the end

std::string_view trim_right(std::string_view line) {
  return line.substr(0, line.find_last_not_of(" \t\r\n\v\f") + 1);
}

}  // namespace

Cutter::Cutter(const ImportOptions& options, std::shared_ptr<const base::Path> file, Emit emit)
    : options_(options),
      file_(std::move(file)),
      emit_(std::move(emit)),
      limit_(slack + (options.format == Format::jsonl ? options.line_limit : options.document_limit)) {}

bool Cutter::is_boundary(std::string_view line) const {
  return trim_right(line) == options_.separator;
}

// Both return the place behind a boundary at or after scanned_ (0 for none) and go on from there, or from the end.
std::size_t Cutter::first_boundary() {
  if (options_.format == Format::files) return 0;
  for (std::size_t end; (end = pending_.find('\n', scanned_)) != std::string::npos;) {
    const std::string_view line = std::string_view(pending_).substr(scanned_, end - scanned_);
    scanned_ = end + 1;
    if (options_.format != Format::paragraphs || is_boundary(line)) return scanned_;
  }
  if (options_.format != Format::paragraphs) scanned_ = pending_.size();
  return 0;
}

std::size_t Cutter::last_boundary() {
  if (options_.format == Format::jsonl || options_.format == Format::lines) {
    // Only what is new: a line of 256 MiB comes in a thousand pieces.
    const std::size_t begin = scanned_, end = std::string_view(pending_).substr(begin).rfind('\n');
    scanned_ = pending_.size();
    return end == std::string::npos ? 0 : begin + end + 1;
  }
  std::size_t last = 0;
  while (const std::size_t boundary = first_boundary()) last = boundary;
  return last;
}

void Cutter::strip_mark() {
  if (begun_) return;
  begun_ = true;
  if (pending_.starts_with(mark)) pending_.erase(0, mark.size());
}

void Cutter::add(std::string_view bytes) {
  pending_ += bytes;
  if (pending_.size() < mark.size() && !begun_) return;
  strip_mark();
  if (skipping_) {
    const std::size_t boundary = first_boundary();
    const std::size_t dropped = boundary > 0                            ? boundary
                                : options_.format == Format::paragraphs ? scanned_
                                                                        : pending_.size();
    line_ += std::count(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(dropped), '\n');
    pending_.erase(0, dropped);
    scanned_ = 0;
    if (boundary == 0) {
      if (static_cast<std::int64_t>(pending_.size()) > slack) {  // a line as long as this is no separator
        pending_.resize(slack);
        pending_.back() = 'x';
      }
      return;
    }
    skipping_ = false;
  }
  if (pending_.size() < block_bytes) return;
  if (const std::size_t boundary = last_boundary()) emit_block(boundary);
  if (static_cast<std::int64_t>(pending_.size()) <= limit_) return;
  emit_record(Intake::too_long, fmt::format("over {} bytes without an end", limit_ - slack));
  skipping_ = true;
  line_ += std::count(pending_.begin(), pending_.end(), '\n');
  pending_.clear();
  scanned_ = 0;
}

void Cutter::finish(const std::string& damage) {
  strip_mark();
  if (!damage.empty()) {
    if (const std::size_t boundary = skipping_ ? 0 : last_boundary()) emit_block(boundary);
    line_ += std::count(pending_.begin(), pending_.end(), '\n');
    const bool told = skipping_ && options_.format == Format::files;  // one file, one row
    if (!told) emit_record(Intake::damaged, damage);
  } else if (!skipping_ && (!pending_.empty() || options_.format == Format::files)) {
    emit_block(pending_.size());
  }
  pending_.clear();
}

void Cutter::emit_block(std::size_t size) {
  Block block{0, file_, line_, {}, Intake::ok, {}};
  block.bytes.reserve(size + readable_behind);
  block.bytes.assign(pending_, 0, size);
  line_ += std::count(block.bytes.begin(), block.bytes.end(), '\n');
  pending_.erase(0, size);
  scanned_ -= std::min(scanned_, size);
  emit_(std::move(block));
}

void Cutter::emit_record(Intake intake, std::string reason) {
  emit_({0, file_, line_, {}, intake, std::move(reason)});
}

}  // namespace thresher::store
