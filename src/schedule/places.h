// Who is where, and whether all of them would compute the same.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "thresher/comm/grid.h"

namespace thresher::schedule {

// By rank, for messages: "rank 3 (n1, replica 0, stage 1, shard 0)", without places where there is no grid yet.
std::vector<std::string> rank_names(std::span<const std::string> hosts, const comm::Grid* grid);

// Element r holds rank r's values that change bits, a line each; rank zero has all lines. Throws base::Error (config)
// where a rank has a line that rank zero has not.
void expect_same_bits(std::span<const std::string> identities, std::span<const std::string> hosts);

}  // namespace thresher::schedule
