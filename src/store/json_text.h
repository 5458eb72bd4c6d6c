// JSON as it is written: pieces appended to a string.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace thresher::store {

// In quotes, escaped; bytes that are not UTF-8 become U+FFFD.
void append_json(std::string& out, std::string_view text);
// The shortest digits that read back as the same number; null for what JSON has no number for.
void append_json(std::string& out, double number);
void append_json(std::string& out, float number);
void append_json(std::string& out, std::int64_t number);

}  // namespace thresher::store
