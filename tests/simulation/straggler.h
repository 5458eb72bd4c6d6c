// A process of an earlier launch, on a machine that was cut off when the job was ended: it goes on writing.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/faulty_files.h"
#include "base/random.h"
#include "simulation/world.h"
#include "thresher/store/part_writer.h"

namespace thresher::simulation {

class Straggler {
 public:
  // Has scored some shards, and its writer has found the run directory. `number`: another one for each.
  Straggler(std::int64_t number, base::FileSystem& disk, const base::Path& directory, const World& world,
            tests::Random& random);

  // Commits what it has left, in one round; before its call number `call` something else happens. That may have taken
  // its files away or have left a damaged part, which are errors it may say; any other throws Broken.
  void write_on(std::int64_t call, std::function<void()> meanwhile);
  void die() { files_.die(); }

 private:
  tests::FaultyFiles files_;
  store::PartWriter writer_;
  std::vector<store::PartWriter::Part> parts_;
};

}  // namespace thresher::simulation
