// A directory of the machine's own that is gone with the test, and safetensors files written byte by byte.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace thresher::model::test {

class Scratch {
 public:
  Scratch() {
    std::string pattern = (std::filesystem::temp_directory_path() / "thresher_model_XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }

 private:
  std::filesystem::path path_;
};

// Eight bytes of size, the header, `data_bytes` bytes of data.
inline std::string safetensors(const std::string& header, std::size_t data_bytes, char fill = 0) {
  std::string file;
  for (int b = 0; b < 8; ++b) file += static_cast<char>(header.size() >> (8 * b) & 0xff);
  return file + header + std::string(data_bytes, fill);
}

}  // namespace thresher::model::test
