#include "thresher/tensor/buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "thresher/base/check.h"

namespace thresher::tensor {
namespace {

constexpr std::int64_t alignment = 64;
constexpr std::int64_t huge_page = std::int64_t{2} << 20;
// Smaller buffers would waste a part of their last page that counts.
constexpr std::int64_t least_for_huge_pages = 8 * huge_page;

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
  const bool huge = bytes >= least_for_huge_pages;
  const std::int64_t unit = huge ? huge_page : alignment;
  const std::int64_t size = (std::max<std::int64_t>(bytes, 1) + unit - 1) / unit * unit;
  void* data = std::aligned_alloc(static_cast<std::size_t>(unit), static_cast<std::size_t>(size));
  if (!data) base::fail(base::Exit::os, fmt::format("out of memory: {} bytes asked for", size));
  // A wish: where the system has no huge pages to give, the memory is as good.
  if (huge) static_cast<void>(madvise(data, static_cast<std::size_t>(size), MADV_HUGEPAGE));
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
