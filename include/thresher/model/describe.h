// What a model directory holds, for people.
#pragma once

#include <string>

#include "thresher/base/file.h"

namespace thresher::model {

struct DescribeOptions {
  bool tensors = false;  // list every tensor: name, dtype, shape, bytes
  bool digest = false;   // read all weights: checks them for NaN and prints the model's content identity
};

// Lines of text: architecture, sizes, parameters, stored dtypes, memory for each dtype of products. Checks everything
// that loading checks before it reads the weights. Throws base::Error: no_input, data, config, io.
std::string describe_model(base::FileSystem& files, const base::Path& directory, const DescribeOptions& options);

}  // namespace thresher::model
