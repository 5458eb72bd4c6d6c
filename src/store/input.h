// One input file as a stream of plain bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/decoder.h"
#include "thresher/base/file.h"
#include "thresher/base/hash.h"

namespace thresher::store {

class Input {
 public:
  // Throws base::Error (no_input, permission).
  Input(base::FileSystem& files, const base::Path& path);

  // Fills the front of `out`; returns how much, 0 at the end of what can be read. Throws base::Error (io).
  std::size_t read(std::span<char> out);
  // Why there is no more, with the place in the compressed file; empty unless the file is damaged or a bomb.
  const std::string& damage() const { return damage_; }
  std::int64_t file_bytes() const { return file_->size(); }
  // Identity of the file's bytes, as they are on disk; reads what is left of it.
  base::Digest digest();

 private:
  bool refill();

  std::unique_ptr<base::ReadFile> file_;
  std::unique_ptr<Decoder> decoder_;
  base::Hasher hasher_;
  std::vector<char> buffer_;
  std::span<const char> ahead_;  // read from the file, not yet decoded
  std::int64_t position_ = 0;    // bytes read from the file
  std::int64_t decoded_ = 0;
  std::string damage_;
};

}  // namespace thresher::store
