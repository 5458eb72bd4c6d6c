// Compressed bytes for tests.
#pragma once

#include <string>
#include <string_view>

namespace thresher::tests {

std::string gzip(std::string_view text, int level = 6);
std::string zstd(std::string_view text, int level = 3);

}  // namespace thresher::tests
