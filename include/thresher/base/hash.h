// XXH3-128: identity of parts, documents, models and tokenizers. Not cryptographic.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace thresher::base {

struct Digest {
  std::array<std::uint8_t, 16> bytes{};  // canonical (big-endian) order
  std::string hex() const;
  bool operator==(const Digest&) const = default;
};

// The other way round; nothing for a text that is not one.
std::optional<Digest> digest_from_hex(std::string_view text);

Digest digest_of(std::span<const std::byte> bytes);
Digest digest_of(std::string_view bytes);

// The digest of a stream of bytes, added piece by piece.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view bytes);
  Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace thresher::base
