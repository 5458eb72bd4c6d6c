// The safetensors format: 8 bytes of header size (little-endian), a JSON header, and the tensors' bytes back to back.
// A file is refused unless every rule of the format holds, because nothing else guards what is read from it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/tensor/dtype.h"

namespace thresher::model {

constexpr std::int64_t safetensors_header_limit = 100'000'000;
constexpr std::int64_t safetensors_tensor_limit = 1'000'000;

struct StoredTensor {
  std::string name;
  std::string dtype;                // as the file names it: "BF16"
  std::vector<std::int64_t> shape;  // empty: one number
  std::int64_t begin = 0, end = 0;  // bytes [begin, end) after the header
  std::int64_t elements() const;    // already known to fit
};

// Our name of a stored dtype; nothing for the ones that no model weight is read from.
std::optional<tensor::DType> dtype_of(std::string_view stored);
std::string_view stored_name(tensor::DType dtype);

// Checks a header against the size of the data that follows it; tensors come back in the order of their bytes. `name`
// is for messages. Throws base::Error (data).
std::vector<StoredTensor> parse_safetensors_header(std::string_view header, std::int64_t data_bytes,
                                                   const std::string& name);

class SafetensorsFile {
 public:
  // Reads and checks the header. Throws base::Error: no_input, data, io.
  SafetensorsFile(base::FileSystem& files, const base::Path& path);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  // bytes.size() bytes of a tensor of this file, from `offset` on.
  void read(const StoredTensor& tensor, std::int64_t offset, std::span<std::byte> bytes) const;

 private:
  std::unique_ptr<base::ReadFile> file_;
  std::int64_t data_ = 0;  // where the data starts
  std::vector<StoredTensor> tensors_;
};

// Writes one file front to back, tensor after tensor, without holding any of them.
class SafetensorsWriter {
 public:
  struct Planned {
    std::string name;
    tensor::DType dtype = tensor::DType::f32;
    std::vector<std::int64_t> shape;
  };

  // Writes the header for these tensors in this order. Throws base::Error: cannot_create, io.
  SafetensorsWriter(base::FileSystem& files, const base::Path& path, const std::vector<Planned>& tensors);
  // The next bytes.
  void add(std::span<const std::byte> bytes);
  // Syncs; throws base::Error (internal) unless exactly the planned bytes came.
  void finish();

 private:
  std::unique_ptr<base::WriteFile> file_;
  std::int64_t position_ = 0, end_ = 0;
};

}  // namespace thresher::model
