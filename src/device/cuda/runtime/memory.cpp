#include "device/cuda/runtime/memory.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "device/cuda/driver.h"
#include "thresher/base/check.h"
#include "thresher/base/half.h"
#include "thresher/base/machine.h"

namespace thresher::device::cuda {
namespace {

float value_of(const Tensor& matrix, std::int64_t r, std::int64_t c) {
  switch (matrix.dtype) {
    case DType::f32:
      return matrix.row<const float>(r)[c];
    case DType::bf16:
      return base::from_bf16(matrix.row<const std::uint16_t>(r)[c]);
    case DType::f16:
      return base::from_f16(matrix.row<const std::uint16_t>(r)[c]);
    default:
      base::fail(base::Exit::internal, fmt::format("a weight of {} numbers", tensor::name_of(matrix.dtype)));
  }
}

std::size_t row_bytes(const Tensor& x) {
  return static_cast<std::size_t>(x.columns * tensor::size_of(x.dtype));
}

void expect_alike(const Tensor& host, const Tensor& device) {
  if (host.rows != device.rows || host.columns != device.columns)
    base::fail(base::Exit::internal,
               fmt::format("a copy of {} x {} to {} x {}", host.rows, host.columns, device.rows, device.columns));
}

// Rows that one piece holds: a row longer than that goes column by column, see `upload`.
std::int64_t rows_of_piece(const Tensor& x) {
  return std::max<std::int64_t>(
      1, Copies::piece_bytes / static_cast<std::int64_t>(std::max<std::size_t>(1, row_bytes(x))));
}

// Parts of a tensor that each fit into a piece.
template <class Each>
void in_pieces(const Tensor& x, const Each& each) {
  const std::int64_t columns = std::min(x.columns, Copies::piece_bytes / tensor::size_of(x.dtype));
  if (x.rows == 0 || columns == 0) return;
  const std::int64_t rows = columns < x.columns ? 1 : rows_of_piece(x);
  for (std::int64_t r = 0; r < x.rows; r += rows)
    for (std::int64_t c = 0; c < x.columns; c += columns)
      each(r, c, std::min(rows, x.rows - r), std::min(columns, x.columns - c));
}

Tensor part(const Tensor& x, std::int64_t r, std::int64_t c, std::int64_t rows, std::int64_t columns) {
  return x.rows_from(r, rows).columns_from(c, columns);
}

}  // namespace

namespace {

// Of one GPU, by device buffers.
struct Allocated {
  std::mutex mutex;
  std::int64_t now = 0, peak = 0;

  void add(std::int64_t bytes) {
    const std::lock_guard lock(mutex);
    now += bytes;
    peak = std::max(peak, now);
  }
};

Allocated& allocated_on(int gpu) {
  static std::array<Allocated, 64> all;
  return all[static_cast<std::size_t>(gpu) % all.size()];
}

}  // namespace

std::int64_t allocated_peak(int gpu) {
  Allocated& allocated = allocated_on(gpu);
  const std::lock_guard lock(allocated.mutex);
  return allocated.peak;
}

Buffer device_buffer(int gpu, std::int64_t bytes) {
  check(cudaSetDevice(gpu), "choosing the GPU");
  void* data = nullptr;
  const cudaError_t code = cudaMalloc(&data, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)));
  if (code == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // it would be found again at the next launch
    std::size_t free = 0, total = 0;
    check(cudaMemGetInfo(&free, &total), "asking for the free memory");
    cudaDeviceProp properties{};
    check(cudaGetDeviceProperties(&properties, gpu), "asking for the GPU's properties");
    base::fail(base::Exit::os,
               out_of_memory(bytes, static_cast<std::int64_t>(free), static_cast<std::int64_t>(total), properties.name),
               std::source_location());
  }
  check(code, "allocating memory");
  allocated_on(gpu).add(bytes);
  return {data, bytes, [gpu](void* memory, std::int64_t held) {
            allocated_on(gpu).add(-held);
            static_cast<void>(cudaSetDevice(gpu));
            static_cast<void>(cudaFree(memory));
          }};
}

Buffer pinned_buffer(int gpu, std::int64_t bytes) {
  constexpr double gib = 1 << 30;
  const std::int64_t there = base::available_memory();
  const auto refuse = [&](const char* what) {
    base::fail(base::Exit::os,
               fmt::format("{}: {:.2f} GiB more of pinned host memory are needed, {:.2f} GiB are available; layers "
                           "that do not fit the GPU lie there (--stream-layers), and what is copied: run on more GPUs "
                           "(--layout with pp), with fewer ranks on a host, or on a host with more memory",
                           what, static_cast<double>(bytes) / gib, static_cast<double>(there) / gib),
               std::source_location());
  };
  if (bytes > there) refuse("the host's memory does not suffice");
  check(cudaSetDevice(gpu), "choosing the GPU");
  void* data = nullptr;
  const cudaError_t code = cudaMallocHost(&data, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)));
  if (code == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    refuse("pinning host memory failed");
  }
  check(code, "allocating pinned host memory");
  return {data, bytes, [gpu](void* memory, std::int64_t) {
            static_cast<void>(cudaSetDevice(gpu));
            static_cast<void>(cudaDeviceSynchronize());  // copies of it may be under way
            static_cast<void>(cudaFreeHost(memory));
          }};
}

void convert(const Tensor& from, const Tensor& to) {
  expect_alike(from, to);
  for (std::int64_t i = 0; i < to.rows; ++i) {
    if (from.dtype == to.dtype) {
      std::memcpy(to.rows_from(i, 1).data, from.rows_from(i, 1).data, row_bytes(to));
      continue;
    }
    for (std::int64_t j = 0; j < to.columns; ++j) {
      const float value = value_of(from, i, j);
      if (to.dtype == DType::bf16) {
        to.row<std::uint16_t>(i)[j] = base::to_bf16(value);
      } else {
        to.row<float>(i)[j] = value;
      }
    }
  }
}

void copy(const Tensor& from, const Tensor& to, cudaMemcpyKind kind, cudaStream_t stream) {
  if (from.elements() == 0) return;
  const auto pitch = [](const Tensor& x) { return static_cast<std::size_t>(x.stride * tensor::size_of(x.dtype)); };
  check(cudaMemcpy2DAsync(to.data, pitch(to), from.data, pitch(from), row_bytes(from),
                          static_cast<std::size_t>(from.rows), kind, stream),
        kind == cudaMemcpyHostToDevice ? "copying to the GPU" : "copying from the GPU");
}

void grow(Buffer& buffer, int gpu, std::int64_t bytes) {
  if (buffer.bytes() >= bytes) return;
  buffer = Buffer();  // the old one goes before the new one comes
  buffer = device_buffer(gpu, bytes);
}

Copies::Copies(cudaStream_t stream) : stream_(stream) {
  for (Piece& piece : pieces_) {
    check(cudaMallocHost(&piece.pinned, static_cast<std::size_t>(piece_bytes)), "allocating pinned host memory");
    piece.done = make_event(false);
  }
}

Copies::~Copies() {
  for (Piece& piece : pieces_) static_cast<void>(cudaFreeHost(piece.pinned));
}

Copies::Piece& Copies::next() {
  Piece& piece = pieces_[turn_++ % pieces_.size()];
  if (piece.busy) check(cudaEventSynchronize(piece.done.raw()), "waiting for a copy");
  piece.busy = false;
  return piece;
}

template <class Fill>
void Copies::upload_by(const Tensor& device, const Fill& fill) {
  in_pieces(device, [&](std::int64_t r, std::int64_t c, std::int64_t rows, std::int64_t columns) {
    Piece& piece = next();
    const Tensor to = part(device, r, c, rows, columns);
    const Tensor from = tensor::matrix(piece.pinned, device.dtype, rows, columns);
    fill(r, c, from);
    copy(from, to, cudaMemcpyHostToDevice, stream_);
    check(cudaEventRecord(piece.done.raw(), stream_), "marking a copy");
    piece.busy = true;
  });
}

void Copies::upload(const Tensor& host, const Tensor& device) {
  upload_as(host, device);
}

void Copies::upload_as(const Tensor& host, const Tensor& device) {
  expect_alike(host, device);
  upload_by(device, [&](std::int64_t r, std::int64_t c, const Tensor& pinned) {
    convert(part(host, r, c, pinned.rows, pinned.columns), pinned);
  });
}

void Copies::download(const Tensor& device, const Tensor& host) {
  expect_alike(host, device);
  in_pieces(device, [&](std::int64_t r, std::int64_t c, std::int64_t rows, std::int64_t columns) {
    Piece& piece = next();
    const Tensor from = part(device, r, c, rows, columns), to = part(host, r, c, rows, columns);
    const Tensor pinned = tensor::matrix(piece.pinned, device.dtype, rows, columns);
    copy(from, pinned, cudaMemcpyDeviceToHost, stream_);
    check(cudaStreamSynchronize(stream_), "copying from the GPU");
    for (std::int64_t i = 0; i < rows; ++i)
      std::memcpy(to.rows_from(i, 1).data, pinned.rows_from(i, 1).data, row_bytes(pinned));
  });
}

}  // namespace thresher::device::cuda
