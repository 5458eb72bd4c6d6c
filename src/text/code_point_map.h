// A sparse map from code points to ids.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "thresher/text/tokenizer.h"

namespace thresher::text {

class CodePointMap {
 public:
  CodePointMap() : pages_(0x110000 / page_size) {}

  void set(char32_t code, TokenId id) {
    auto& page = pages_[code / page_size];
    if (!page) page = std::make_unique<Page>();
    (*page)[code % page_size] = id;
  }

  std::optional<TokenId> find(char32_t code) const {
    const auto& page = pages_[code / page_size];
    if (!page) return std::nullopt;
    return (*page)[code % page_size];
  }

 private:
  static constexpr std::size_t page_size = 256;
  using Page = std::array<std::optional<TokenId>, page_size>;

  std::vector<std::unique_ptr<Page>> pages_;
};

}  // namespace thresher::text
