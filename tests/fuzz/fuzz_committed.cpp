// What a run directory holds, as a damaged disk or a stranger may leave it: plans and the ends of parts.
#include "fuzz/refusal.h"
#include "store/part_file.h"
#include "store/plan_file.h"
#include "thresher/store/result.h"

namespace store = thresher::store;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::string_view input = thresher::text_of(data + 1, size - 1);
  return thresher::refusal_is_fine([&] {
    if (data[0] % 2 == 0) {
      const store::Plan plan = store::parse_plan(input, "plan.json");
      if (plan.shards.empty() || plan.shards.front() != 0) std::abort();
      const store::Plan again = store::parse_plan(store::format_plan(plan), "plan.json");
      if (!store::differences(plan, again).empty() || again.identity() != plan.identity()) std::abort();
      return;
    }
    const store::PartInfo end = store::read_trailer(input, static_cast<std::int64_t>(input.size()), "part");
    if (end.first < 0 || end.rows < 0 || end.tokens < 0 || end.shard < 0) std::abort();
    static_cast<void>(store::check_part(input, "part"));
  });
}
