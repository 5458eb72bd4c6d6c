#include "device/cuda/attention_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t largest_head = 256, greatest_number = 1 << 20;

// Takes the part before the first `mark` off `text`, the mark too.
std::string_view take(std::string_view& text, char mark) {
  const std::size_t end = std::min(text.find(mark), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return part;
}

bool read(std::string_view word, std::int64_t& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc() && end == word.data() + word.size() && number >= 0 && number <= greatest_number;
}

bool is_version(std::string_view word) {
  return !word.empty() && word.find_first_not_of("0123456789.") == std::string_view::npos;
}

}  // namespace

std::optional<AttentionBy> read_attention_by(std::string_view text) {
  if (text == "measured") return AttentionBy::measured;
  if (text == "own") return AttentionBy::own;
  if (text == "cudnn") return AttentionBy::cudnn;
  return std::nullopt;
}

std::string text_of(const AttentionKey& key) {
  return fmt::format("{} {}", tensor::name_of(key.in), key.head_size);
}

std::string text_of(const Engine& engine) {
  std::string text = std::to_string(engine.index);
  for (const Engine::Knob& knob : engine.knobs) text += fmt::format(" {}={}", knob.kind, knob.value);
  return text;
}

std::string text_of(const AttentionChoice& choice) {
  return choice.engine ? fmt::format("cudnn {} {}", choice.version, text_of(*choice.engine)) : "own";
}

std::optional<AttentionKey> read_attention_key(std::string_view text) {
  AttentionKey key;
  const std::string_view in = take(text, ' ');
  if (!read(text, key.head_size) || key.head_size < 1 || key.head_size > largest_head) return std::nullopt;
  for (const DType dtype : {DType::bf16, DType::f32}) {
    key.in = dtype;
    if (in == tensor::name_of(dtype)) return key;
  }
  return std::nullopt;
}

std::optional<AttentionChoice> read_attention_choice(std::string_view text) {
  if (text == "own") return AttentionChoice{};
  if (take(text, ' ') != "cudnn") return std::nullopt;
  AttentionChoice choice{.engine = Engine{}, .version = std::string(take(text, ' '))};
  if (!is_version(choice.version) || !read(take(text, ' '), choice.engine->index)) return std::nullopt;
  while (!text.empty()) {
    std::string_view word = take(text, ' ');
    Engine::Knob knob;
    if (!read(take(word, '='), knob.kind) || !read(word, knob.value)) return std::nullopt;
    choice.engine->knobs.push_back(knob);
  }
  return choice;
}

}  // namespace thresher::device::cuda
