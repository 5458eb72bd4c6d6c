#include "schedule/record.h"

#include <fmt/format.h>

#include <algorithm>

#include "thresher/base/check.h"
#include "thresher/base/hash.h"

namespace thresher::schedule {
namespace {

constexpr const char* algorithms_file = "algorithms.txt";
constexpr const char* seal = "digest ";  // the last line
constexpr std::int64_t algorithms_limit = std::int64_t{16} << 20;

}  // namespace

JobRecord::JobRecord(base::FileSystem& files, const base::Path& output, bool fresh, store::Codec& codec)
    : directory_(files, output, codec) {
  if (fresh) directory_.clear();
  files.make_directories(output / "logs");
}

std::string JobRecord::algorithms() {
  kept_ = directory_.kept(algorithms_file, algorithms_limit);
  return kept_.substr(0, kept_.rfind(seal));
}

// The text, and what binds it to this job.
std::string JobRecord::sealed(const std::string& algorithms) const {
  return fmt::format("{}{}{}\n", algorithms, seal, base::digest_of(plan_.identity() + algorithms).hex());
}

void JobRecord::keep(const std::string& algorithms) {
  const std::string before = kept_.substr(0, kept_.rfind(seal));
  const std::string file = (directory_.path() / algorithms_file).string();
  if (kept_.empty())
    base::fail(base::Exit::config, fmt::format("{} is missing: the rest could get other bits than what is done; put it "
                                               "back, or give another --output, or --fresh to start anew",
                                               file));
  if (kept_ != sealed(before))
    base::fail(base::Exit::data, fmt::format("{} is damaged or another job's: put the right one back, or give another "
                                             "--output, or --fresh to start anew",
                                             file));
  if (algorithms != before) directory_.write(algorithms_file, sealed(algorithms));
}

const std::vector<bool>& JobRecord::settle(const store::Plan& plan, const std::string& algorithms) {
  plan_ = plan;
  // A plan on a GPU finds its algorithms; those that are there are not touched before the plan agrees.
  const bool begun = directory_.planned();
  if (!begun && !algorithms.empty()) directory_.write(algorithms_file, sealed(algorithms));
  directory_.settle(plan_);
  if (begun && !algorithms.empty()) keep(algorithms);
  committed_ = directory_.committed(plan_);
  was_complete_ = directory_.succeeded() && std::count(committed_.begin(), committed_.end(), false) == 0;
  return committed_;
}

store::Totals JobRecord::publish(const store::Columns& columns, store::Source& corpus,
                                 const store::RunDirectory::Attributes& attributes) {
  return directory_.publish(plan_, columns, corpus, attributes);
}

void JobRecord::succeed(std::string_view summary, std::string_view run) {
  directory_.write("summary.json", summary);
  directory_.write("run.json", run);
  directory_.succeed(summary);
}

}  // namespace thresher::schedule
