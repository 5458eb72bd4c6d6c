#include "device/cuda/kernels/attend_mma.cuh"

#include "device/cuda/kernels/attend_launch.h"

namespace thresher::device::cuda {
namespace {

template <int depth, class In>
void run(const AttendCall& call, Stream stream) {
  using Shape = AttendMma<depth, In>;
  const AttendOptions& options = call.options;
  const bool pairs = call.group() % 2 == 0 && options.skipped % 2 == 0 && options.query_heads % 2 == 0;
  const int heads = pairs ? Shape::most_heads : 1;
  const dim3 grid(slots_for(call.out.rows, call.sequences.count, mma_queries),
                  static_cast<unsigned>(options.query_heads / heads));
  launch("attend", attend_mma<depth, In>, grid, static_cast<unsigned>(heads * mma_warps * warp_lanes),
         Shape::bytes(heads), stream, call.view<In, Bf16>());
}

template <class In>
void choose(const AttendCall& call, Stream stream) {
  const std::int64_t size = call.options.head_size;
  if (size <= 32) return run<32, In>(call, stream);
  if (size <= 64) return run<64, In>(call, stream);
  if (size <= 80) return run<80, In>(call, stream);
  if (size <= 96) return run<96, In>(call, stream);
  if (size <= 128) return run<128, In>(call, stream);
  if (size <= 192) return run<192, In>(call, stream);
  return run<256, In>(call, stream);
}

}  // namespace

void attend_by_mma(const AttendCall& call, Stream stream) {
  if (call.q.dtype == DType::bf16) {
    choose<Bf16>(call, stream);
  } else {
    choose<float>(call, stream);
  }
}

}  // namespace thresher::device::cuda
