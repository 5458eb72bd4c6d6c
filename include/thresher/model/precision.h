// What a model's numbers are held as.
#pragma once

#include "thresher/tensor/dtype.h"

namespace thresher::model {

// Of a model whose layers' products are in `products`: activations between them, the embedding at most, and the head,
// but for StageOptions::int8_head. Those of int8 are in bf16: a head's errors are all seen, and it is a fifth of the
// work at most.
constexpr tensor::DType dense(tensor::DType products) {
  return products == tensor::DType::i8 ? tensor::DType::bf16 : products;
}

}  // namespace thresher::model
