#include "device/cuda/cudnn/packed.h"

#include <array>
#include <limits>
#include <map>

#include "device/cuda/cudnn/plan.h"
#include "device/cuda/kernels/kernels.h"
#include "device/cuda/runtime/memory.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace cudnn {
namespace {

constexpr std::int64_t block_alignment = 256;  // bytes
const float never = -std::numeric_limits<float>::infinity();

std::int64_t aligned(std::int64_t bytes) {
  return (bytes + block_alignment - 1) / block_alignment * block_alignment;
}

class Cudnn : public PackedAttention {
 public:
  Cudnn(int gpu, cudaStream_t stream) : gpu_(gpu), stream_(stream), machine_(machine(gpu)) {
    cudnnHandle_t context = nullptr;
    check(functions().create(&context), "starting cuDNN");
    context_ = ContextHandle(context);
    check(functions().set_stream(context, stream), "choosing a stream");
    rooms(most_sequences);
  }

  std::string version() const override { return version_text(functions().version()); }

  std::vector<Engine> engines(const PackedShape& shape) override {
    return cudnn::engines(Graph(attention(shape), machine_));
  }

  std::int64_t prepare(const PackedShape& shape, const Engine& engine) override {
    return plan(shape, engine).workspace();
  }

  void run(const PackedCall& call, const Engine& engine) override {
    const Plan& plan = this->plan(call.shape, engine);
    ragged({.starts = call.starts,
            .sequences = call.sequences,
            .first_row = call.first_row,
            .room = call.shape.sequences,
            .strides = {call.q.stride, call.k.stride, call.v.stride, call.out.stride},
            .lengths = lengths_,
            .offsets = offsets_},
           stream_);
    const auto id = [](Operand operand) { return static_cast<std::int64_t>(operand); };
    const std::vector<std::int64_t> ids = {id(Operand::q),         id(Operand::k),         id(Operand::v),
                                           id(Operand::out),       id(Operand::lengths),   id(Operand::q_offsets),
                                           id(Operand::k_offsets), id(Operand::v_offsets), id(Operand::out_offsets),
                                           id(Operand::scale),     id(Operand::never)};
    const std::vector<void*> places = {call.q.data,
                                       call.k.data,
                                       call.v.data,
                                       call.out.data,
                                       lengths_,
                                       offsets_[0],
                                       offsets_[1],
                                       offsets_[2],
                                       offsets_[3],
                                       const_cast<float*>(&call.scale),
                                       const_cast<float*>(&never)};
    Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, ids)
        .set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, places)
        .set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace_.data())
        .finish("naming attention's memory");
    check(functions().execute(context_.raw(), plan.descriptor().raw(), pack.raw()), "attention");
  }

 private:
  const Plan& plan(const PackedShape& shape, const Engine& engine) {
    auto& plans = plans_[shape];
    for (const auto& [known, plan] : plans)
      if (known == engine) return plan;
    const Graph graph(attention(shape), machine_);
    plans.emplace_back(engine, Plan(graph, engine));
    const Plan& made = plans.back().second;
    grow(workspace_, gpu_, std::max<std::int64_t>(1, made.workspace()));
    return made;
  }

  // For the sequences' lengths and where they begin.
  void rooms(std::int64_t sequences) {
    const std::int64_t lengths = aligned(sequences * 4), offsets = aligned((sequences + 1) * 8);
    places_ = device_buffer(gpu_, lengths + 4 * offsets);
    lengths_ = static_cast<std::int32_t*>(places_.data());
    for (std::size_t i = 0; i < offsets_.size(); ++i)
      offsets_[i] = reinterpret_cast<std::int64_t*>(static_cast<char*>(places_.data()) + lengths +
                                                    static_cast<std::int64_t>(i) * offsets);
  }

  const int gpu_;
  const cudaStream_t stream_;
  Descriptor machine_;
  ContextHandle context_;
  std::map<PackedShape, std::vector<std::pair<Engine, Plan>>> plans_;
  Buffer workspace_, places_;
  std::int32_t* lengths_ = nullptr;
  std::array<std::int64_t*, 4> offsets_{};
};

}  // namespace
}  // namespace cudnn

std::unique_ptr<PackedAttention> make_packed_attention(int gpu, cudaStream_t stream, std::string& trouble) {
  const cudnn::Library& library = cudnn::library();
  trouble = library.trouble;
  if (!library.functions) return nullptr;
  try {
    return std::make_unique<cudnn::Cudnn>(gpu, stream);
  } catch (const base::Error& error) {
    trouble = error.what();
    return nullptr;
  }
}

}  // namespace thresher::device::cuda
