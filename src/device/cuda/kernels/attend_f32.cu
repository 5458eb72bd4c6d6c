#include "device/cuda/kernels/attend_f32.cuh"

#include "device/cuda/kernels/attend_launch.h"

namespace thresher::device::cuda {
namespace {

template <int depth, int queries, int keys, class Out>
void run(const AttendView<float, Out>& view, std::int64_t rows, std::int64_t heads, Stream stream) {
  const dim3 grid(slots_for(rows, view.sequences, queries), static_cast<unsigned>(heads));
  launch("attend", attend_f32<depth, queries, keys, Out>, grid, side * side, AttendF32<depth, queries, keys>::bytes,
         stream, view);
}

// At most 99 KiB of shared memory: also for sm_86 and sm_89.
template <class Out>
void choose(const AttendView<float, Out>& view, std::int64_t rows, std::int64_t heads, Stream stream) {
  const int size = view.head_size;
  if (size <= 32) return run<32, 64, 64>(view, rows, heads, stream);
  if (size <= 64) return run<64, 64, 64>(view, rows, heads, stream);
  if (size <= 96) return run<96, 64, 64>(view, rows, heads, stream);
  if (size <= 128) return run<128, 64, 64>(view, rows, heads, stream);
  return run<256, 32, 32>(view, rows, heads, stream);
}

}  // namespace

void attend_in_f32(const AttendCall& call, Stream stream) {
  if (call.out.dtype == DType::bf16) {
    choose(call.view<float, Bf16>(), call.out.rows, call.options.query_heads, stream);
  } else {
    choose(call.view<float, float>(), call.out.rows, call.options.query_heads, stream);
  }
}

}  // namespace thresher::device::cuda
