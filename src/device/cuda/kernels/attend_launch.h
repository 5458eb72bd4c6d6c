// From `attend` to its kernels.
#pragma once

#include "device/cuda/kernels/attend.cuh"

namespace thresher::device::cuda {

struct AttendCall {
  const Tensor& q;
  const Tensor& k;
  const Tensor& v;
  const Sequences& sequences;
  const AttendOptions& options;
  const Tensor& out;

  std::int64_t group() const { return options.group > 0 ? options.group : options.query_heads / options.kv_heads; }
  // Whether every head's row starts at a multiple of 16 bytes.
  bool whole() const {
    const std::int64_t numbers = 16 / tensor::size_of(q.dtype);
    const auto starts_whole = [&](const Tensor& view) {
      return reinterpret_cast<std::uintptr_t>(view.data) % 16 == 0 && view.stride % numbers == 0;
    };
    return options.head_size % numbers == 0 && starts_whole(q) && starts_whole(k) && starts_whole(v);
  }
  template <class In, class Out>
  AttendView<In, Out> view() const {
    return {.q = rows_of<const In>(q),
            .k = rows_of<const In>(k),
            .v = rows_of<const In>(v),
            .out = rows_of<Out>(out),
            .starts = sequences.starts.as<const std::int32_t>(),
            .sequences = static_cast<int>(sequences.count),
            .head_size = static_cast<int>(options.head_size),
            .group = static_cast<int>(group()),
            .skipped = static_cast<int>(options.skipped),
            .window = static_cast<int>(options.window < sequences.longest ? options.window : 0),
            .factor = options.scale * log2_e,
            .whole = whole()};
  }
};

void attend_in_f32(const AttendCall& call, Stream stream);  // f32 out
void attend_by_mma(const AttendCall& call, Stream stream);  // bf16 out

}  // namespace thresher::device::cuda
