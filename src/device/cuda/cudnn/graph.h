// Causal attention over packed sequences as cuDNN is told about it: twenty operations for a bucket of sequences.
#pragma once

#include <map>

#include "device/cuda/cudnn/backend.h"
#include "device/cuda/packing_plan.h"

namespace thresher::device::cuda::cudnn {

// The tensors that a run gives memory for; all others live inside of the plan.
enum class Operand : std::int64_t {
  q = 1,
  k,
  v,
  out,
  lengths,
  q_offsets,
  k_offsets,
  v_offsets,
  out_offsets,
  scale,
  never
};

struct Value {
  std::int64_t id = 0;
  std::vector<std::int64_t> extents, strides;
  cudnnDataType_t dtype = CUDNN_DATA_FLOAT;
  enum { memory, inside, number } place = memory;  // a number is given by the host's memory
  std::int64_t offsets = 0;                        // the id of where its sequences begin; 0 = it has none
};

struct Operation {
  enum { product, elementwise, reduction } kind = elementwise;
  cudnnPointwiseMode_t mode = CUDNN_POINTWISE_ADD;
  cudnnReduceTensorOp_t reduce = CUDNN_REDUCE_TENSOR_ADD;
  cudnnDataType_t compute = CUDNN_DATA_FLOAT;
  std::int64_t x = 0, y = 0, mask = 0, out = 0;  // ids of values; 0 = none
  std::int64_t m = 0, n = 0, k = 0;              // of a product: ids of the extents that sequences really have
  std::int64_t axis = -1;                        // of an index
};

// The graph as data, in order.
struct Sheet {
  std::vector<Value> values;
  std::vector<Operation> operations;
};
Sheet attention(const PackedShape& shape);

class Graph {
 public:
  // For the GPU that `machine` (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) describes. Throws base::Error (os) where cuDNN
  // does not take the description.
  Graph(const Sheet& sheet, const Descriptor& machine);

  const Descriptor& descriptor() const { return whole_; }
  const Descriptor& machine() const { return machine_; }

 private:
  const Descriptor& value(std::int64_t id) const;
  Descriptor operation(const Operation& operation);

  const Descriptor& machine_;
  std::map<std::int64_t, Descriptor> values_;
  std::vector<Descriptor> modes_, operations_;
  Descriptor whole_;
};

}  // namespace thresher::device::cuda::cudnn
