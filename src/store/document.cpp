#include "thresher/store/document.h"

#include <array>

namespace thresher::store {

std::string_view name_of(Intake intake) {
  constexpr std::array<std::string_view, intake_count> names{
      "ok", "invalid_utf8", "not_json", "missing_field", "wrong_type", "too_long", "empty", "bad_id", "damaged", "no_tokens"};
  return names.at(static_cast<std::size_t>(intake));
}

namespace {

// Bytes of the white space character (Python's str.isspace, which is what \s matches) at text[at]; 0 if there is none.
std::size_t space_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const unsigned first = byte(0);
  if (first < 0x80) return first == ' ' || (first >= 0x09 && first <= 0x0d) || (first >= 0x1c && first <= 0x1f) ? 1 : 0;
  if (first == 0xc2) return byte(1) == 0x85 || byte(1) == 0xa0 ? 2 : 0;
  if (first == 0xe1) return byte(1) == 0x9a && byte(2) == 0x80 ? 3 : 0;  // U+1680
  if (first == 0xe3) return byte(1) == 0x80 && byte(2) == 0x80 ? 3 : 0;  // U+3000
  if (first != 0xe2) return 0;
  if (byte(1) == 0x81) return byte(2) == 0x9f ? 3 : 0;  // U+205F
  if (byte(1) != 0x80) return 0;
  const unsigned last = byte(2);  // U+2000 to U+200A, U+2028, U+2029, U+202F
  return (last >= 0x80 && last <= 0x8a) || last == 0xa8 || last == 0xa9 || last == 0xaf ? 3 : 0;
}

}  // namespace

std::int64_t count_words(std::string_view text) {
  std::int64_t pieces = 1;
  bool in_space = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = space_at(text, at);
    if (space > 0 && !in_space) ++pieces;
    in_space = space > 0;
    at += space > 0 ? space : 1;
  }
  return pieces;
}

bool is_hdf5(base::FileSystem& files, const base::Path& path) {
  constexpr std::string_view signature("\x89HDF\r\n\x1a\n", 8);
  const std::unique_ptr<base::ReadFile> file = files.open(path);
  if (file->size() < static_cast<std::int64_t>(signature.size())) return false;
  std::array<char, signature.size()> begin{};
  file->read_at(0, std::as_writable_bytes(std::span(begin)));
  return std::string_view(begin.data(), begin.size()) == signature;
}

}  // namespace thresher::store
