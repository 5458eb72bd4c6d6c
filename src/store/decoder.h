// Compressed bytes to plain ones, piece by piece.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace thresher::store {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Moves what it can from the front of `in` to the front of `out` and shortens both. Returns what is wrong with the
  // bytes, or nothing.
  virtual std::string decode(std::span<const char>& in, std::span<char>& out) = 0;
  // True where the input may end.
  virtual bool complete() const = 0;
};

// By the first bytes: gzip (any number of members), zstd (any number of frames, windows up to 128 MiB), else as it is.
std::unique_ptr<Decoder> make_decoder(std::string_view begin);

// "gzip", "zstd" or "" by the first bytes of a file, and by the end of its name.
std::string_view compression_of(std::string_view begin);
std::string_view compression_by_name(std::string_view name);

}  // namespace thresher::store
