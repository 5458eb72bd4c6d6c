// A model directory whose tensors a test takes apart and puts together again.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/scratch.h"
#include "thresher/model/make_model.h"

namespace thresher::model::test {

struct EditedTensor {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::string bytes;
};

class EditedModel {
 public:
  // A made model of the tiny shape.
  explicit EditedModel(const MakeModel& shape = named_shape("tiny"));

  const base::Path& path() const { return scratch_.path(); }
  std::map<std::string, EditedTensor> tensors;

  // Writes model.safetensors with `tensors` as they are now.
  void write() const;
  // Replaces a field's whole line of config.json.
  void replace_in_config(const std::string& from, const std::string& to) const;

 private:
  Scratch scratch_;
};

// bf16 numbers in another stored dtype.
EditedTensor widened(const EditedTensor& tensor, const std::string& dtype);

}  // namespace thresher::model::test
