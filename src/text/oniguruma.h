// Oniguruma's Ruby syntax in PCRE2's, with Oniguruma's meaning of every class.
#pragma once

#include <string>
#include <string_view>

namespace thresher::text {

// Throws base::Error (config) naming what has no exact translation.
std::string pcre2_pattern_of(std::string_view oniguruma, const std::string& field);

// A pattern that matches `text` and nothing else.
std::string pcre2_literal_of(std::string_view text);

}  // namespace thresher::text
