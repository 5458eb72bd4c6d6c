// Owners of memory, and the arena that a batch's activations live in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "thresher/tensor/tensor.h"

namespace thresher::tensor {

// Move-only owner of a block of some device's memory; the release function belongs to whoever made it.
class Buffer {
 public:
  using Release = std::function<void(void*, std::int64_t)>;

  Buffer() = default;
  Buffer(void* data, std::int64_t bytes, Release release);
  ~Buffer();
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;

  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
  Release release_;
};

// Host memory, 64-byte aligned, not initialised; large ones on huge pages where the system has some. Throws base::Error
// (os) with the size when there is none.
Buffer host_buffer(std::int64_t bytes);

// Cuts one buffer into tensors, each 64-byte aligned. Nothing is freed singly: `reset` starts the next batch.
class Arena {
 public:
  explicit Arena(Buffer buffer) : buffer_(std::move(buffer)) {}

  // Throws base::Error (internal) when the arena is too small: it is sized once, from the same shapes.
  Tensor take(DType dtype, std::int64_t rows, std::int64_t columns);
  // Activations in i8, see quantised.h. `cuts` outlive them.
  Tensor take_quantised(std::int64_t rows, std::span<const std::int64_t> cuts);
  void reset() { used_ = 0; }
  // Bytes that `take` uses for such a tensor.
  static std::int64_t bytes_of(DType dtype, std::int64_t rows, std::int64_t columns);
  static std::int64_t bytes_of_quantised(std::int64_t rows, std::int64_t columns, std::int64_t pieces);

  // Takes come back like a stack: what was taken after `mark` is free again after `release(mark)`.
  std::int64_t mark() const { return used_; }
  void release(std::int64_t mark) { used_ = mark; }

 private:
  Buffer buffer_;
  std::int64_t used_ = 0;
};

}  // namespace thresher::tensor
