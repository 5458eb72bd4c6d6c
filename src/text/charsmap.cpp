// SentencePiece's precompiled character map: a double-array trie from a few characters to an offset into
// NUL-terminated replacements, with the library's way of asking it (one grapheme cluster at a time, and the shortest
// key that the cluster starts with counts for the whole).
#include <fmt/core.h>
#include <utf8proc.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <vector>

#include "text/normalise.h"
#include "text/utf8.h"
#include "thresher/base/check.h"

namespace thresher::text {
namespace {

// Longer clusters are looked up character by character.
constexpr std::size_t longest_cluster = 5;

std::string decode_base64(std::string_view text, const std::string& field) {
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<std::int8_t, 256> values;
  values.fill(-1);
  for (std::size_t i = 0; i < digits.size(); ++i)
    values[static_cast<unsigned char>(digits[i])] = static_cast<std::int8_t>(i);
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char digit : text) {
    const int value = values[static_cast<unsigned char>(digit)];
    if (value < 0) base::fail(base::Exit::data, field + ": is not base64");
    bits = bits << 6 | static_cast<std::uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xFF));
  }
  return bytes;
}

class Charsmap {
 public:
  Charsmap(std::string_view base64, const std::string& field) : field_(field) {
    const std::string bytes = decode_base64(base64, field);
    std::uint32_t trie_bytes = 0;
    if (bytes.size() < sizeof trie_bytes) base::fail(base::Exit::data, field + ": is too short for a character map");
    std::memcpy(&trie_bytes, bytes.data(), sizeof trie_bytes);
    const std::size_t left = bytes.size() - sizeof trie_bytes;
    if (trie_bytes == 0 || trie_bytes % 4 != 0 || trie_bytes > left) {
      base::fail(base::Exit::data, fmt::format("{}: the trie has {} bytes of {}", field, trie_bytes, left));
    }
    units_.resize(trie_bytes / 4);
    std::memcpy(units_.data(), bytes.data() + sizeof trie_bytes, trie_bytes);
    replacements_ = bytes.substr(sizeof trie_bytes + trie_bytes);
    if (find_invalid_utf8(replacements_)) base::fail(base::Exit::data, field + ": the replacements are not UTF-8");
  }

  // What the shortest key at the start of `text` becomes.
  std::optional<std::string_view> find(std::string_view text) const {
    std::size_t position = offset_of(unit(0));
    for (const char byte : text) {
      const auto label = static_cast<unsigned char>(byte);
      if (label == 0) break;
      position ^= label;
      const std::uint32_t here = unit(position);
      if ((here & 0x800000FFU) != label) return std::nullopt;
      position ^= offset_of(here);
      if ((here >> 8 & 1) != 0) return replacement(unit(position) & 0x7FFFFFFFU);
    }
    return std::nullopt;
  }

 private:
  static std::size_t offset_of(std::uint32_t unit) { return std::size_t{unit >> 10} << ((unit & 0x200U) >> 6); }

  std::uint32_t unit(std::size_t position) const {
    if (position >= units_.size()) {
      base::fail(base::Exit::data,
                 fmt::format("{}: the trie points to unit {} of {}", field_, position, units_.size()));
    }
    return units_[position];
  }

  std::string_view replacement(std::size_t begin) const {
    if (begin > replacements_.size() || (begin < replacements_.size() && continues_code_point(replacements_[begin]))) {
      base::fail(base::Exit::data,
                 fmt::format("{}: a replacement begins at byte {} of {}", field_, begin, replacements_.size()));
    }
    const std::string_view rest = std::string_view(replacements_).substr(begin);
    return rest.substr(0, rest.find('\0'));
  }

  std::string field_;
  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

class Precompiled final : public Normaliser {
 public:
  Precompiled(std::string_view base64, const std::string& field) : map_(base64, field) {
    for (std::size_t byte = 0; byte < ascii_.size(); ++byte) {
      const char text = static_cast<char>(byte);
      if (const auto found = map_.find({&text, 1})) ascii_[byte] = *found;
    }
  }

  void apply(Draft& draft) const override {
    Rewrite rewrite(draft);
    const std::string_view text = draft.text;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = cluster_size(text.substr(at));
      const std::string_view cluster = text.substr(at, size);
      if (size == 1) {
        rewrite.reach(at);
        const auto& known = ascii_[static_cast<unsigned char>(cluster[0])];
        known ? rewrite.out().append(*known) : rewrite.out().append(cluster);
      } else if (const auto found = size <= longest_cluster ? map_.find(cluster) : std::nullopt) {
        put_cluster(rewrite, at, cluster, *found);
      } else {
        put_characters(rewrite, at, cluster);
      }
      at += size;
    }
    rewrite.finish();
  }

 private:
  // Bytes of the extended grapheme cluster at the start of `text`.
  static std::size_t cluster_size(std::string_view text) {
    const auto ascii = [&](std::size_t i) { return static_cast<unsigned char>(text[i]) < 0x80; };
    if (ascii(0) && (text.size() == 1 || ascii(1))) return text.starts_with("\r\n") ? 2 : 1;
    utf8proc_int32_t state = 0;
    CodePoint point = decode_at(text.data());
    std::size_t size = point.size;
    while (size < text.size()) {
      const CodePoint next = decode_at(text.data() + size);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(point.code),
                                           static_cast<utf8proc_int32_t>(next.code), &state)) {
        break;
      }
      size += next.size;
      point = next;
    }
    return size;
  }

  // Each new character stands for one of the old ones, in order; further ones for the last.
  static void put_cluster(Rewrite& rewrite, std::size_t at, std::string_view cluster, std::string_view found) {
    std::size_t old = 0;
    for (std::size_t i = 0; i < found.size();) {
      const std::size_t size = decode_at(found.data() + i).size;
      rewrite.reach(at + std::min(old, cluster.size() - 1));
      rewrite.out().append(found, i, size);
      if (old < cluster.size()) old += decode_at(cluster.data() + old).size;
      i += size;
    }
  }

  void put_characters(Rewrite& rewrite, std::size_t at, std::string_view cluster) const {
    for (std::size_t i = 0; i < cluster.size();) {
      const std::string_view character = cluster.substr(i, decode_at(cluster.data() + i).size);
      rewrite.reach(at + i);
      const auto found = map_.find(character);
      rewrite.out().append(found ? *found : character);
      i += character.size();
    }
  }

  Charsmap map_;
  std::array<std::optional<std::string_view>, 128> ascii_;
};

}  // namespace

std::unique_ptr<Normaliser> precompiled(std::string_view charsmap, const std::string& field) {
  return std::make_unique<Precompiled>(charsmap, field);
}

}  // namespace thresher::text
