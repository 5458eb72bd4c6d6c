// What cannot be in rows of results, whatever wrote them.
#pragma once

#include <cstddef>
#include <string>

#include "thresher/store/result.h"

namespace thresher::store {

// A value of document i, or two that contradict each other, in words; empty if there is none.
std::string impossible(const Rows& rows, std::size_t i, const Columns& columns);

// A reason without a rejected document, or the other way round; empty if they agree.
std::string impossible_reasons(const Rows& rows);

}  // namespace thresher::store
