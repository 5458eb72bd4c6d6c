#pragma once

#include <cstddef>
#include <string_view>

namespace thresher::store {

// Length of the longest prefix that is valid UTF-8 (RFC 3629: no surrogates, nothing overlong, at most U+10FFFF).
std::size_t valid_prefix(std::string_view text);

}  // namespace thresher::store
