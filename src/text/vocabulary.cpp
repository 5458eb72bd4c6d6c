#include "text/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <random>

namespace thresher::text {
namespace {

constexpr std::uint64_t odd_a = 0x9E3779B97F4A7C15ULL;
constexpr std::uint64_t odd_b = 0xD6E8FEB86659FD93ULL;

std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  return (std::rotl(state, 23) ^ word) * odd_a;
}

std::uint64_t finish(std::uint64_t state) {
  state ^= state >> 32;
  state *= odd_b;
  return state ^ state >> 29;
}

// Up to eight bytes as a number.
std::uint64_t load(const char* bytes, std::size_t size) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, size);
  return value;
}

}  // namespace

std::uint64_t hash_seed() {
  static const std::uint64_t seed = [] {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }();
  return seed;
}

std::uint64_t hash_of_bytes(std::string_view bytes) {
  static const std::uint64_t seed = hash_seed();
  std::uint64_t state = seed ^ bytes.size();
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  while (left > 8) {
    state = mix(state, load(at, 8));
    at += 8;
    left -= 8;
  }
  return finish(mix(state, load(at, left)));
}

bool Vocabulary::add(std::string_view token, TokenId id) {
  if (id > highest_id || holds(id) || find(token)) return false;
  if (2 * (count_ + 1) > slots_.size()) grow();
  if (id >= spans_.size()) spans_.resize(std::size_t{id} + 1);
  spans_[id] = {bytes_.size(), static_cast<std::uint32_t>(token.size()), true};
  bytes_.append(token);
  const std::uint64_t hash = hash_of_bytes(token);
  std::size_t slot = hash & (slots_.size() - 1);
  while (slots_[slot].id_plus_one != 0) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = {static_cast<std::uint32_t>(hash >> 32), id + 1};
  ++count_;
  longest_ = std::max(longest_, token.size());
  return true;
}

std::optional<TokenId> Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const std::uint64_t hash = hash_of_bytes(token);
  const auto high = static_cast<std::uint32_t>(hash >> 32);
  for (std::size_t slot = hash & (slots_.size() - 1);; slot = (slot + 1) & (slots_.size() - 1)) {
    const Slot& candidate = slots_[slot];
    if (candidate.id_plus_one == 0) return std::nullopt;
    if (candidate.hash == high && this->token(candidate.id_plus_one - 1) == token) return candidate.id_plus_one - 1;
  }
}

std::string_view Vocabulary::token(TokenId id) const {
  if (!holds(id)) return {};
  return std::string_view(bytes_).substr(spans_[id].begin, spans_[id].size);
}

void Vocabulary::grow() {
  std::vector<Slot> slots(std::max<std::size_t>(1024, 2 * slots_.size()));
  for (TokenId id = 0; id < spans_.size(); ++id) {
    if (!spans_[id].present) continue;
    const std::uint64_t hash = hash_of_bytes(token(id));
    std::size_t slot = hash & (slots.size() - 1);
    while (slots[slot].id_plus_one != 0) slot = (slot + 1) & (slots.size() - 1);
    slots[slot] = {static_cast<std::uint32_t>(hash >> 32), id + 1};
  }
  slots_ = std::move(slots);
}

}  // namespace thresher::text
