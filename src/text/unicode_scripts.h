// The UnicodeScripts pre-tokenizer: a cut wherever the script changes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "text/pretokenize.h"

namespace thresher::text {

// Both ends included; sorted. Code points in no range have no script and stay with their neighbours. Scripts that the
// library takes as one (Han, Hiragana, Katakana) have one number.
struct ScriptRange {
  char32_t first;
  char32_t last;
  std::uint8_t script;
};

extern const std::span<const ScriptRange> script_ranges;

std::unique_ptr<PreTokenizer> unicode_scripts();

}  // namespace thresher::text
