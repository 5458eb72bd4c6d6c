#include "device/cuda/kernels/attend_bf16.cuh"

#include "device/cuda/kernels/attend_launch.h"

namespace thresher::device::cuda {
namespace {

template <int depth>
void run(const AttendCall& call, Stream stream) {
  using Shape = AttendBf16<depth>;
  const AttendOptions& options = call.options;
  const bool pairs = call.group() % 2 == 0 && options.skipped % 2 == 0 && options.query_heads % 2 == 0;
  const int heads = pairs ? Shape::most_heads : 1;
  const dim3 grid(slots_for(call.out.rows, call.sequences.count, bf16_queries),
                  static_cast<unsigned>(options.query_heads / heads));
  launch("attend", attend_bf16<depth>, grid, static_cast<unsigned>(heads * bf16_warps * warp_lanes),
         Shape::bytes(heads), stream, call.view<Bf16, Bf16>());
}

}  // namespace

// At most 99 KiB of shared memory: also for sm_86 and sm_89.
void attend_in_bf16(const AttendCall& call, Stream stream) {
  const std::int64_t size = call.options.head_size;
  if (size <= 32) return run<32>(call, stream);
  if (size <= 64) return run<64>(call, stream);
  if (size <= 80) return run<80>(call, stream);
  if (size <= 96) return run<96>(call, stream);
  if (size <= 128) return run<128>(call, stream);
  if (size <= 192) return run<192>(call, stream);
  return run<256>(call, stream);
}

}  // namespace thresher::device::cuda
