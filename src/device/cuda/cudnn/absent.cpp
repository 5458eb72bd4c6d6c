// In place of packed.cpp where the toolkit has no cuDNN headers.
#include "device/cuda/cudnn/packed.h"

namespace thresher::device::cuda {

std::unique_ptr<PackedAttention> make_packed_attention(int, cudaStream_t, std::string& trouble) {
  trouble = "this program is built without cuDNN's headers";
  return nullptr;
}

}  // namespace thresher::device::cuda
