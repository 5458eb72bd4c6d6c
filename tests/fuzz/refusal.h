// Hostile input may be refused; it may not do anything else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "thresher/base/check.h"

namespace thresher {

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Runs `body`. An Error about the input is the documented answer to bad input; any other exception ends the process.
template <class Body>
int refusal_is_fine(const Body& body) {
  try {
    body();
  } catch (const base::Error& error) {
    if (error.code() != base::Exit::data && error.code() != base::Exit::config) std::abort();
  }
  return 0;
}

}  // namespace thresher
