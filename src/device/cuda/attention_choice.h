// Who computes attention, as text for Algorithms: the own kernel, or an engine of cuDNN's. Pure.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/device/device.h"

namespace thresher::device::cuda {

constexpr const char* attention_section = "attention";

// One choice serves all calls alike: it depends on nothing that differs between ranks, layouts or batches, since bits
// depend on it. "f32 128"
struct AttentionKey {
  DType in = DType::bf16;  // of q, k and v; the output is bf16
  std::int64_t head_size = 0;

  auto operator<=>(const AttentionKey&) const = default;
};

// An engine of cuDNN's with settings that decide the order of sums; means something to one version of cuDNN.
struct Engine {
  struct Knob {
    std::int64_t kind = 0, value = 0;

    bool operator==(const Knob&) const = default;
  };
  std::int64_t index = 0;
  std::vector<Knob> knobs;

  bool operator==(const Engine&) const = default;
};

// "own", or "cudnn 9.19.0 2 24=7": engine 2 with knob 24 at 7.
struct AttentionChoice {
  std::optional<Engine> engine;  // none: the own kernel
  std::string version;           // of cuDNN

  bool operator==(const AttentionChoice&) const = default;
};

// THRESHER_ATTENTION: what is taken where nothing is known yet. "measured": the faster one, where it is measured, else
// the own kernel.
enum class AttentionBy : std::uint8_t { measured, own, cudnn };

std::optional<AttentionBy> read_attention_by(std::string_view text);
std::string text_of(const AttentionKey& key);
std::string text_of(const Engine& engine);
std::string text_of(const AttentionChoice& choice);
std::optional<AttentionKey> read_attention_key(std::string_view text);
std::optional<AttentionChoice> read_attention_choice(std::string_view text);

}  // namespace thresher::device::cuda
