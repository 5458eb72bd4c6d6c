// A GPU's memory, and copies between it and the host through pinned memory.
#pragma once

#include <array>
#include <string>

#include "device/cuda/runtime/status.h"
#include "thresher/tensor/buffer.h"
#include "thresher/tensor/tensor.h"

namespace thresher::device::cuda {

using tensor::Buffer;
using tensor::DType;
using tensor::Tensor;

// Device memory, 256-byte aligned. Throws base::Error (os) that says what was needed and what is free.
Buffer device_buffer(int gpu, std::int64_t bytes);

// Host memory that the GPU reads and writes by itself. Throws base::Error (os) where the host has less to give.
Buffer pinned_buffer(int gpu, std::int64_t bytes);

// The host matrix `from` as numbers of to.dtype (f32 or bf16), rounded to nearest even; both of one shape, in host
// memory.
void convert(const Tensor& from, const Tensor& to);

// Queues a copy between device memory and pinned memory, of equal shape and dtype.
void copy(const Tensor& from, const Tensor& to, cudaMemcpyKind kind, cudaStream_t stream);

// The most bytes that device buffers of this process held on the GPU at any time.
std::int64_t allocated_peak(int gpu);

// Makes the buffer at least this large; what it held is lost.
void grow(Buffer& buffer, int gpu, std::int64_t bytes);

// Copies go piece by piece through two pinned buffers, in the stream's order: while one piece is on its way the next is
// put together. Uploads return when the host memory has been read, downloads when it has been written.
class Copies {
 public:
  explicit Copies(cudaStream_t stream);
  ~Copies();
  Copies(const Copies&) = delete;

  void upload(const Tensor& host, const Tensor& device);
  void download(const Tensor& device, const Tensor& host);
  // The host matrix as numbers of device.dtype (f32 or bf16), rounded to nearest even.
  void upload_as(const Tensor& host, const Tensor& device);

  static constexpr std::int64_t piece_bytes = std::int64_t{8} << 20;

 private:
  struct Piece {
    void* pinned = nullptr;
    EventHandle done;
    bool busy = false;
  };
  template <class Fill>
  void upload_by(const Tensor& device, const Fill& fill);
  Piece& next();

  cudaStream_t stream_;
  std::array<Piece, 2> pieces_;
  std::size_t turn_ = 0;
};

}  // namespace thresher::device::cuda
