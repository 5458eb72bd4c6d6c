#include "device/cuda/kernels/attend_launch.h"

namespace thresher::device::cuda {

void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences, const AttendOptions& options,
            const Tensor& out, Stream stream) {
  constexpr std::int64_t largest_head = 256;
  if (out.rows == 0 || sequences.count == 0 || options.query_heads == 0) return;
  if (options.head_size < 1 || options.head_size > largest_head)
    base::fail(base::Exit::internal, "attention heads of " + std::to_string(options.head_size) + " numbers; 1 to " +
                                         std::to_string(largest_head) + " are possible");
  if (!(options.scale > 0))
    base::fail(base::Exit::internal, "attention scores scaled by " + std::to_string(options.scale) + ", not above 0");
  const AttendCall call{q, k, v, sequences, options, out};
  if (out.dtype == DType::bf16) {
    attend_by_mma(call, stream);
  } else {
    attend_in_f32(call, stream);
  }
}

}  // namespace thresher::device::cuda
