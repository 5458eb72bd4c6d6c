#include "model/tensor_reader.h"

#include <fmt/format.h>

#include <algorithm>

#include "thresher/base/check.h"
#include "thresher/base/half.h"

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

struct Extent {
  DType dtype;
  std::int64_t rows, columns;
};

Extent extent_of(const StoredTensor& stored) {
  const auto dtype = dtype_of(stored.dtype);
  if (!dtype || stored.shape.empty() || stored.shape.size() > 2)
    base::fail(base::Exit::internal, fmt::format("tensor \"{}\" is no matrix of a dtype that is read", stored.name));
  return {*dtype, stored.shape[0], stored.shape.size() == 2 ? stored.shape[1] : 1};
}

}  // namespace

HostMatrix converted(HostMatrix matrix, DType dtype) {
  if (matrix.view.dtype == dtype) return matrix;
  HostMatrix result = host_matrix(dtype, matrix.view.rows, matrix.view.columns);
  convert(matrix.view, result.view);
  return result;
}

HostMatrix TensorReader::read(const std::vector<std::string>& names) {
  std::vector<Extent> parts;
  std::int64_t rows = 0;
  bool mixed = false;
  for (const std::string& name : names) {
    const Checkpoint::Entry* entry = checkpoint_.find(name);
    if (!entry) base::fail(base::Exit::internal, fmt::format("tensor \"{}\" asked for, which is not there", name));
    parts.push_back(extent_of(entry->tensor));
    rows += parts.back().rows;
    mixed |= parts.back().dtype != parts.front().dtype || parts.back().columns != parts.front().columns;
  }
  HostMatrix result = host_matrix(mixed ? DType::f32 : parts.front().dtype, rows, parts.front().columns);
  std::int64_t row = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    const Tensor place = result.view.rows_from(row, parts[p].rows);
    if (parts[p].dtype == place.dtype) {
      read_into(names[p], place);
    } else {
      const HostMatrix part = host_matrix(parts[p].dtype, parts[p].rows, parts[p].columns);
      read_into(names[p], part.view);
      convert(part.view, place);
    }
    row += parts[p].rows;
  }
  return result;
}

void TensorReader::read_into(const std::string& name, const Tensor& destination) {
  const Checkpoint::Entry& entry = *checkpoint_.find(name);
  const std::int64_t bytes = entry.tensor.end - entry.tensor.begin;
  auto* data = static_cast<std::byte*>(destination.data);
  base::Hasher hasher;
  std::int64_t not_finite = 0;
  for (std::int64_t at = 0; at < bytes; at += chunk_bytes) {
    const std::span<std::byte> chunk(data + at, static_cast<std::size_t>(std::min(chunk_bytes, bytes - at)));
    checkpoint_.read(entry, at, chunk);
    hasher.add(chunk);
    not_finite += count_not_finite(destination.dtype, chunk.data(), static_cast<std::int64_t>(chunk.size()));
  }
  if (not_finite > 0)
    base::fail(base::Exit::data,
               fmt::format("{}: tensor \"{}\" holds {} values of {} that are NaN or infinite: the file is "
                           "damaged or the training diverged",
                           checkpoint_.path_of(entry).string(), name, not_finite, destination.elements()));
  contents_.insert_or_assign(name, hasher.digest());
  bytes_read_ += bytes;
}

bool TensorReader::equal(const std::string& a, const std::string& b) const {
  const StoredTensor &first = checkpoint_.find(a)->tensor, &second = checkpoint_.find(b)->tensor;
  return contents_.at(a) == contents_.at(b) && first.dtype == second.dtype && first.shape == second.shape;
}

base::Digest TensorReader::digest(std::string_view config_text) const {
  const auto add = [](base::Hasher& hasher, const base::Digest& part) {
    hasher.add(std::as_bytes(std::span(part.bytes)));
  };
  base::Hasher hasher;
  add(hasher, base::digest_of(config_text));
  for (const auto& [name, content] : contents_) {
    const StoredTensor& tensor = checkpoint_.find(name)->tensor;
    std::string line = fmt::format("{}\n{}\n", name, tensor.dtype);
    for (const std::int64_t extent : tensor.shape) line += fmt::format("{} ", extent);
    add(hasher, base::digest_of(line));
    add(hasher, content);
  }
  return hasher.digest();
}

}  // namespace thresher::model
