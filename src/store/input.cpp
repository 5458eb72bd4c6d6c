#include "store/input.h"

#include <fmt/format.h>

#include <algorithm>

namespace thresher::store {
namespace {

constexpr std::size_t read_block = std::size_t{256} << 10;
// Against decompression bombs: deflate reaches 1,030 : 1 on zeros, zstd far more; text stays below 100 : 1.
constexpr std::int64_t largest_ratio = 1000;
constexpr std::int64_t free_of_ratio = std::int64_t{64} << 20;

}  // namespace

Input::Input(base::FileSystem& files, const base::Path& path) : file_(files.open(path)), buffer_(read_block) {
  refill();
  const std::string_view begin(ahead_.data(), ahead_.size());
  const std::string_view promised = compression_by_name(path.filename().string());
  if (!promised.empty() && promised != compression_of(begin)) {
    damage_ = fmt::format("byte 0: not {}, as the file's name says", promised);
  }
  decoder_ = make_decoder(begin);
}

bool Input::refill() {
  const std::int64_t left = file_->size() - position_;
  const auto count = static_cast<std::size_t>(std::min<std::int64_t>(left, static_cast<std::int64_t>(buffer_.size())));
  if (count == 0) return false;
  file_->read_at(position_, std::as_writable_bytes(std::span(buffer_).first(count)));
  ahead_ = std::span(buffer_).first(count);
  hasher_.add(std::as_bytes(ahead_));
  position_ += static_cast<std::int64_t>(count);
  return true;
}

std::size_t Input::read(std::span<char> out) {
  std::span<char> space = out;
  while (damage_.empty() && !space.empty()) {
    // A decoder may hold back output after the last input; only when it gives none is the file at its end.
    const bool at_end = ahead_.empty() && !refill();
    const std::size_t before = space.size();
    std::string wrong = decoder_->decode(ahead_, space);
    const std::int64_t consumed = position_ - static_cast<std::int64_t>(ahead_.size());
    decoded_ += static_cast<std::int64_t>(before - space.size());
    if (!wrong.empty()) {
      damage_ = fmt::format("byte {}: {}", consumed, wrong);
    } else if (decoded_ > free_of_ratio && decoded_ / largest_ratio > consumed) {
      damage_ = fmt::format("byte {}: {} bytes from {} are more than {} : 1, refused as a decompression bomb", consumed,
                            decoded_, consumed, largest_ratio);
    } else if (at_end && space.size() == before) {
      if (!decoder_->complete()) damage_ = fmt::format("byte {}: the compressed file was cut here", consumed);
      break;
    }
  }
  return out.size() - space.size();
}

base::Digest Input::digest() {
  while (refill()) {
  }
  return hasher_.digest();
}

}  // namespace thresher::store
