#include "thresher/tensor/buffer.h"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

#include "thresher/base/check.h"

namespace thresher::tensor {
namespace {

constexpr std::int64_t alignment = 64;

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

}  // namespace

Buffer::Buffer(void* data, std::int64_t bytes, Release release)
    : data_(data), bytes_(bytes), release_(std::move(release)) {}

Buffer::~Buffer() {
  if (data_) release_(data_, bytes_);
}

Buffer::Buffer(Buffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      release_(std::move(other.release_)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(release_, other.release_);
  return *this;
}

Buffer host_buffer(std::int64_t bytes) {
  const std::int64_t size = aligned(bytes > 0 ? bytes : 1);
  void* data = std::aligned_alloc(alignment, static_cast<std::size_t>(size));
  if (!data) base::fail(base::Exit::os, fmt::format("out of memory: {} bytes asked for", size));
  return {data, bytes, [](void* memory, std::int64_t) { std::free(memory); }};
}

std::int64_t Arena::bytes_of(DType dtype, std::int64_t rows, std::int64_t columns) {
  return aligned(rows * columns * size_of(dtype));
}

Tensor Arena::take(DType dtype, std::int64_t rows, std::int64_t columns) {
  const std::int64_t bytes = bytes_of(dtype, rows, columns);
  if (used_ + bytes > buffer_.bytes())
    base::fail(base::Exit::internal, fmt::format("arena of {} bytes is too small: {} in use, {} more asked for",
                                                 buffer_.bytes(), used_, bytes));
  void* data = static_cast<char*>(buffer_.data()) + used_;
  used_ += bytes;
  return matrix(data, dtype, rows, columns);
}

std::int64_t Arena::bytes_of_quantised(std::int64_t rows, std::int64_t columns, std::int64_t pieces) {
  return bytes_of(DType::i8, rows, columns) +
         bytes_of(DType::i8, rows, pieces * static_cast<std::int64_t>(sizeof(QuantisedPiece)));
}

Tensor Arena::take_quantised(std::int64_t rows, std::span<const std::int64_t> cuts) {
  const auto pieces = static_cast<std::int64_t>(cuts.size()) - 1;
  Tensor numbers = take(DType::i8, rows, cuts.back());
  numbers.pieces =
      take(DType::i8, rows, pieces * static_cast<std::int64_t>(sizeof(QuantisedPiece))).as<QuantisedPiece>();
  numbers.cuts = cuts;
  return numbers;
}

}  // namespace thresher::tensor
