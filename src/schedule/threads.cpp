#include "schedule/threads.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "thresher/base/machine.h"

namespace thresher::schedule {

Threads choose_threads(int asked, Pin pin, const base::CoreShare& share, int worth) {
  const auto cores = static_cast<int>(share.cores.size());
  Threads threads{.count = asked > 0 ? asked : std::max(1, std::min(cores, worth)), .pinned = {}};
  const bool fits = share.exclusive && threads.count <= cores;
  if (fits && (pin == Pin::on || (pin == Pin::automatic && threads.count == cores)))
    threads.pinned.assign(share.cores.begin(), share.cores.begin() + threads.count);
  return threads;
}

Threads take_threads(const Job& job, comm::Comm& world, std::span<const std::string> hosts) {
  const std::vector<std::string> all = world.all_gather(base::text_of(base::cores_of_process()));
  const std::string& here = hosts[static_cast<std::size_t>(world.rank())];
  std::vector<base::Cores> lists;
  std::size_t me = 0;
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (hosts[rank] != here) continue;
    if (static_cast<int>(rank) == world.rank()) me = lists.size();
    lists.push_back(base::cores_from(all[rank]));
  }
  const int quota = base::quota_cores();
  const int worth = quota > 0 ? quota / static_cast<int>(lists.size()) : static_cast<int>(lists[me].size());
  const base::CoreShare share = base::share_of(lists, me);
  Threads threads = choose_threads(job.threads, job.device == DeviceKind::cpu ? job.pin : Pin::off, share, worth);
  if (!threads.pinned.empty()) base::bind_to(share.cores);
  return threads;
}

}  // namespace thresher::schedule
