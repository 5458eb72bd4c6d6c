#include "simulation/straggler.h"

#include <fmt/format.h>

#include <utility>

#include "simulation/launch.h"

namespace thresher::simulation {

Straggler::Straggler(std::int64_t number, base::FileSystem& disk, const base::Path& directory, const World& world,
                     tests::Random& random)
    : files_(disk, fmt::format("straggler-{}", number)), writer_(files_, directory, world.plan) {
  const auto shards = static_cast<std::int64_t>(world.parts.size());
  if (shards == 0) return;
  const std::int64_t first = random.below(shards), count = random.between(1, 4);
  for (std::int64_t shard = first; shard < std::min(shards, first + count); ++shard)
    parts_.emplace_back(shard, world.parts[static_cast<std::size_t>(shard)]);
}

void Straggler::write_on(std::int64_t call, std::function<void()> meanwhile) {
  files_.before(call, std::move(meanwhile));
  try {
    writer_.commit(std::exchange(parts_, {}));
  } catch (const tests::Crash&) {
  } catch (const base::Error& error) {
    if (error.code() == base::Exit::internal)
      throw Broken(fmt::format("a straggler ends with {}: {}", static_cast<int>(error.code()), error.what()));
  }
}

}  // namespace thresher::simulation
