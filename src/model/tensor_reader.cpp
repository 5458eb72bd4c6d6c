#include "model/tensor_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "thresher/base/check.h"
#include "thresher/base/half.h"
#include "thresher/comm/ending.h"
#include "thresher/model/transformer.h"

namespace thresher::model {
namespace {

using tensor::DType;
using tensor::Tensor;

constexpr std::int64_t chunk_bytes = 4 << 20;

// Elements whose exponent is all ones: NaN and the infinities.
template <class Bits>
std::int64_t count_not_finite(const void* data, std::int64_t count, Bits exponent) {
  const auto* values = static_cast<const Bits*>(data);
  std::int64_t found = 0;
  for (std::int64_t i = 0; i < count; ++i) found += (values[i] & exponent) == exponent;
  return found;
}

std::int64_t count_not_finite(DType dtype, const void* data, std::int64_t bytes) {
  const std::int64_t count = bytes / tensor::size_of(dtype);
  if (dtype == DType::f32) return count_not_finite<std::uint32_t>(data, count, 0x7f800000u);
  return count_not_finite<std::uint16_t>(data, count,
                                         dtype == DType::bf16 ? std::uint16_t{0x7f80} : std::uint16_t{0x7c00});
}

float value_at(const Tensor& tensor, std::int64_t i) {
  if (tensor.dtype == DType::f32) return tensor.as<float>()[i];
  const std::uint16_t bits = tensor.as<std::uint16_t>()[i];
  return tensor.dtype == DType::bf16 ? base::from_bf16(bits) : base::from_f16(bits);
}

void convert(const Tensor& from, const Tensor& to) {
  const std::int64_t count = from.elements();
  for (std::int64_t i = 0; i < count; ++i) {
    if (to.dtype == DType::f32)
      to.as<float>()[i] = value_at(from, i);
    else
      to.as<std::uint16_t>()[i] = base::to_bf16(value_at(from, i));
  }
}

HostMatrix host_matrix(DType dtype, std::int64_t rows, std::int64_t columns) {
  HostMatrix matrix;
  matrix.memory = tensor::host_buffer(rows * columns * tensor::size_of(dtype));
  matrix.view = tensor::matrix(matrix.memory.data(), dtype, rows, columns);
  return matrix;
}

// Feeds rows of a slice to one hasher per piece.
class PieceHashers {
 public:
  // Bounds in bytes: of a row where the pieces are columns, of the whole slice otherwise.
  PieceHashers(const Slice& slice, std::int64_t unit) : first_(slice.held.first) {
    for (std::int64_t piece = slice.held.first; piece <= slice.held.last; ++piece)
      bounds_.push_back((slice.pieces.bounds[static_cast<std::size_t>(piece)] - slice.first()) * unit);
    hashers_.resize(static_cast<std::size_t>(slice.held.count()));
  }

  // Bytes from offset `at` on.
  void add(std::int64_t at, std::span<const std::byte> bytes) {
    const std::int64_t end = at + static_cast<std::int64_t>(bytes.size());
    for (std::size_t i = 0; i < hashers_.size(); ++i) {
      const std::int64_t from = std::max(at, bounds_[i]), to = std::min(end, bounds_[i + 1]);
      if (from < to)
        hashers_[i].add(bytes.subspan(static_cast<std::size_t>(from - at), static_cast<std::size_t>(to - from)));
    }
  }

  void report(const std::string& name, Contents& contents) const {
    for (std::size_t i = 0; i < hashers_.size(); ++i)
      contents.add(name, first_ + static_cast<std::int64_t>(i), hashers_[i].digest());
  }

 private:
  std::int64_t first_;
  std::vector<std::int64_t> bounds_;
  std::vector<base::Hasher> hashers_;
};

}  // namespace

HostMatrix converted(HostMatrix matrix, DType dtype) {
  if (matrix.view.dtype == dtype) return matrix;
  HostMatrix result = host_matrix(dtype, matrix.view.rows, matrix.view.columns);
  convert(matrix.view, result.view);
  return result;
}

// What a slice holds, and how its rows lie in the file.
struct TensorReader::Extent {
  const Checkpoint::Entry* entry = nullptr;
  DType dtype = DType::f32;
  std::int64_t rows = 0, columns = 0;  // of the slice
  std::int64_t first = 0, stride = 0;  // bytes: where its first row begins, and from one row to the next
};

// Some rows of a slice.
struct TensorReader::Chunk {
  const Extent& extent;
  std::int64_t first = 0, rows = 0;
};

TensorReader::Extent TensorReader::extent_of(const Slice& slice) const {
  const Checkpoint::Entry* entry = checkpoint_.find(slice.name);
  if (!entry) base::fail(base::Exit::internal, fmt::format("tensor \"{}\" asked for, which is not there", slice.name));
  const StoredTensor& stored = entry->tensor;
  const auto dtype = dtype_of(stored.dtype);
  if (!dtype || stored.shape.empty() || stored.shape.size() > 2)
    base::fail(base::Exit::internal, fmt::format("tensor \"{}\" is no matrix of a dtype that is read", stored.name));
  const std::int64_t rows = stored.shape[0], columns = stored.shape.size() == 2 ? stored.shape[1] : 1;
  const std::int64_t element = tensor::size_of(*dtype), count = slice.last() - slice.first();
  if (slice.pieces.axis == Axis::columns)
    return {entry, *dtype, rows, count, slice.first() * element, columns * element};
  return {entry, *dtype, count, columns, slice.first() * columns * element, columns * element};
}

HostMatrix TensorReader::read(const std::vector<Slice>& slices) {
  std::vector<Extent> extents;
  std::int64_t rows = 0;
  bool mixed = false;
  for (const Slice& slice : slices) {
    extents.push_back(extent_of(slice));
    rows += extents.back().rows;
    mixed |= extents.back().dtype != extents.front().dtype || extents.back().columns != extents.front().columns;
  }
  HostMatrix result = host_matrix(mixed ? DType::f32 : extents.front().dtype, rows, extents.front().columns);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < slices.size(); ++i) {
    const Tensor place = result.view.rows_from(row, extents[i].rows);
    if (extents[i].dtype == place.dtype) {
      read_into(slices[i], place);
    } else {
      const HostMatrix part = host_matrix(extents[i].dtype, extents[i].rows, extents[i].columns);
      read_into(slices[i], part.view);
      convert(part.view, place);
    }
    row += extents[i].rows;
  }
  return result;
}

void TensorReader::read_into(const Slice& slice, const Tensor& destination) {
  const Extent extent = extent_of(slice);
  const std::int64_t element = tensor::size_of(extent.dtype), width = extent.columns * element;
  const bool by_columns = slice.pieces.axis == Axis::columns;
  PieceHashers hashers(slice, by_columns ? element : width);
  const std::int64_t most = std::max<std::int64_t>(1, chunk_bytes / std::max<std::int64_t>(1, width));
  std::int64_t not_finite = 0;
  for (std::int64_t row = 0; row < extent.rows && width > 0; row += most) {
    const Chunk chunk{extent, row, std::min(most, extent.rows - row)};
    const std::span<std::byte> bytes(static_cast<std::byte*>(destination.data) + row * width,
                                     static_cast<std::size_t>(chunk.rows * width));
    comm::throw_if_cancelled();
    fetch(chunk, bytes);
    not_finite += count_not_finite(extent.dtype, bytes.data(), chunk.rows * width);
    if (!by_columns) hashers.add(row * width, bytes);
    for (std::int64_t r = 0; by_columns && r < chunk.rows; ++r)
      hashers.add(0, bytes.subspan(static_cast<std::size_t>(r * width), static_cast<std::size_t>(width)));
  }
  if (not_finite > 0)
    base::fail(
        base::Exit::data,
        fmt::format("{}: tensor \"{}\" holds {} values of {} that are NaN or infinite: the file is "
                    "damaged or the training diverged",
                    checkpoint_.path_of(*extent.entry).string(), slice.name, not_finite, destination.elements()));
  hashers.report(slice.name, contents_);
}

void TensorReader::fetch_here(const Chunk& chunk, std::span<std::byte> bytes) {
  const Extent& extent = chunk.extent;
  const std::int64_t start = extent.first + chunk.first * extent.stride;
  const auto width = bytes.size() / static_cast<std::size_t>(chunk.rows);
  bytes_read_ += static_cast<std::int64_t>(bytes.size());
  if (static_cast<std::int64_t>(width) == extent.stride) return checkpoint_.read(*extent.entry, start, bytes);
  for (std::int64_t r = 0; r < chunk.rows; ++r)
    checkpoint_.read(*extent.entry, start + r * extent.stride,
                     bytes.subspan(static_cast<std::size_t>(r) * width, width));
}

// On the wire a byte in front says whether the reading went well: nobody waits for bytes that never come.
void TensorReader::fetch(const Chunk& chunk, std::span<std::byte> bytes) {
  if (!peers_) return fetch_here(chunk, bytes);
  message_.resize(bytes.size() + 1);
  if (peers_->rank() > 0) {
    peers_->broadcast(std::span(message_), 0);
    if (message_.front() != std::byte{0})
      throw ReaderFailed(base::Exit::io, "the rank that reads the model for this one could not");
    std::copy(message_.begin() + 1, message_.end(), bytes.begin());
    return;
  }
  try {
    message_.front() = std::byte{0};
    fetch_here(chunk, std::span(message_).subspan(1));
  } catch (...) {
    message_.front() = std::byte{1};
    peers_->broadcast(std::span(message_), 0);
    throw;
  }
  peers_->broadcast(std::span(message_), 0);
  std::copy(message_.begin() + 1, message_.end(), bytes.begin());
}

}  // namespace thresher::model
