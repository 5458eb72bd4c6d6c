#include "text/unicode_scripts.h"

#include <algorithm>
#include <optional>

#include "text/utf8.h"

namespace thresher::text {
namespace {

std::optional<std::uint8_t> script_of(char32_t code) {
  const auto after = std::ranges::upper_bound(script_ranges, code, {}, &ScriptRange::first);
  if (after == script_ranges.begin() || (after - 1)->last < code) return std::nullopt;
  return (after - 1)->script;
}

// What comes before the first character with a script is lost, as it is in the library.
class UnicodeScripts final : public PreTokenizer {
 public:
  void split(const Piece& piece, const Flow& next) const override {
    std::optional<std::size_t> begin;
    std::optional<std::uint8_t> last;
    for (std::size_t at = 0; at < piece.text.size();) {
      const CodePoint point = decode_at(piece.text.data() + at);
      const auto script = script_of(point.code);
      if (script && script != last) {
        if (begin) next.pass(piece.part(*begin, at));
        begin = at;
        last = script;
      }
      at += point.size;
    }
    if (begin) next.pass(piece.part(*begin, piece.text.size()));
  }
};

}  // namespace

std::unique_ptr<PreTokenizer> unicode_scripts() {
  return std::make_unique<UnicodeScripts>();
}

}  // namespace thresher::text
