#include "model/edited_model.h"

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "thresher/base/half.h"
#include "thresher/model/checkpoint.h"

namespace thresher::model::test {

EditedModel::EditedModel(const MakeModel& shape) {
  make_model(base::real_files(), path(), shape);
  Checkpoint checkpoint(base::real_files(), path());
  for (const auto& [name, entry] : checkpoint.tensors()) {
    EditedTensor tensor{entry.tensor.dtype, entry.tensor.shape, {}};
    tensor.bytes.resize(static_cast<std::size_t>(entry.tensor.end - entry.tensor.begin));
    checkpoint.read(entry, 0, std::as_writable_bytes(std::span(tensor.bytes)));
    tensors.emplace(name, std::move(tensor));
  }
}

void EditedModel::write() const {
  nlohmann::json header = nlohmann::json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", tensor.dtype},
                    {"shape", tensor.shape},
                    {"data_offsets", {data.size(), data.size() + tensor.bytes.size()}}};
    data += tensor.bytes;
  }
  scratch_.write("model.safetensors", safetensors(header.dump(), 0) + data);
}

void EditedModel::replace_in_config(const std::string& from, const std::string& to) const {
  std::string text = base::read_all(base::real_files(), path() / "config.json", 1'000'000);
  const auto at = text.find(from);
  BOOST_REQUIRE(at != std::string::npos);
  scratch_.write("config.json", text.replace(at, from.size(), to));
}

EditedTensor widened(const EditedTensor& tensor, const std::string& dtype) {
  EditedTensor wide{dtype, tensor.shape, {}};
  for (std::size_t at = 0; at < tensor.bytes.size(); at += 2) {
    std::uint16_t bits;
    std::memcpy(&bits, tensor.bytes.data() + at, 2);
    const float value = base::from_bf16(bits);
    wide.bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return wide;
}

}  // namespace thresher::model::test
