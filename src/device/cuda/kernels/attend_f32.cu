#include "device/cuda/kernels/attend_f32.cuh"

#include "device/cuda/kernels/attend_launch.h"

namespace thresher::device::cuda {
namespace {

template <int depth, int queries, int keys>
void run(const AttendCall& call, Stream stream) {
  const dim3 grid(slots_for(call.out.rows, call.sequences.count, queries),
                  static_cast<unsigned>(call.options.query_heads));
  launch("attend", attend_f32<depth, queries, keys>, grid, side * side, AttendF32<depth, queries, keys>::bytes, stream,
         call.view<float, float>());
}

}  // namespace

void attend_in_f32(const AttendCall& call, Stream stream) {
  const std::int64_t size = call.options.head_size;
  if (size <= 32) return run<32, 64, 64>(call, stream);
  if (size <= 64) return run<64, 64, 64>(call, stream);
  if (size <= 96) return run<96, 64, 64>(call, stream);
  if (size <= 128) return run<128, 64, 64>(call, stream);
  return run<256, 32, 32>(call, stream);
}

}  // namespace thresher::device::cuda
