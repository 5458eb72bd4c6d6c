// gzip and zstd in pieces of any size: the sizes of the pieces change nothing, and nothing is made of nothing.
#include <algorithm>
#include <span>
#include <string>

#include "fuzz/refusal.h"
#include "store/decoder.h"

namespace store = thresher::store;

namespace {

constexpr std::size_t enough = std::size_t{1} << 20;

struct Unpacked {
  std::string bytes;
  bool good = false;
  bool operator==(const Unpacked&) const = default;
};

Unpacked unpack(std::string_view input, std::size_t piece, std::size_t room) {
  const auto decoder = store::make_decoder(input);
  Unpacked result;
  std::string buffer(room, '\0');
  for (std::size_t at = 0; result.bytes.size() < enough;) {
    std::span<const char> in(input.substr(at, piece));
    const std::size_t offered = in.size();
    std::span<char> out(buffer);
    if (!decoder->decode(in, out).empty()) return result;
    const std::size_t made = buffer.size() - out.size();
    result.bytes.append(buffer, 0, made);
    at += offered - in.size();
    if (offered == 0 && made == 0) break;
    if (offered > 0 && offered == in.size() && made == 0) return result;  // it takes nothing and gives nothing
  }
  result.good = decoder->complete();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::string_view input = thresher::text_of(data + 2, size - 2);
  return thresher::refusal_is_fine([&] {
    const Unpacked whole = unpack(input, input.size() + 1, enough),
                   pieces = unpack(input, std::size_t{1} + data[0], std::size_t{1} + data[1]);
    const bool both = whole.bytes.size() < enough && pieces.bytes.size() < enough && whole.good && pieces.good;
    if (both && whole != pieces) std::abort();
  });
}
