#include "schedule/record.h"

#include <algorithm>

namespace thresher::schedule {

JobRecord::JobRecord(base::FileSystem& files, const base::Path& output, bool fresh, store::Codec& codec)
    : directory_(files, output, codec) {
  if (fresh) directory_.clear();
  files.make_directories(output / "logs");
}

const std::vector<bool>& JobRecord::settle(const store::Plan& plan) {
  plan_ = plan;
  directory_.settle(plan_);
  committed_ = directory_.committed(plan_);
  was_complete_ = directory_.succeeded() && std::count(committed_.begin(), committed_.end(), false) == 0;
  return committed_;
}

store::Totals JobRecord::publish(const store::Columns& columns, store::Source& corpus) {
  return directory_.publish(plan_, columns, corpus);
}

void JobRecord::succeed(std::string_view summary, std::string_view run) {
  directory_.write("summary.json", summary);
  directory_.write("run.json", run);
  directory_.succeed(summary);
}

}  // namespace thresher::schedule
