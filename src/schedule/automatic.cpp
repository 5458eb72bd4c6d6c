#include "schedule/automatic.h"

#include <algorithm>

#include "schedule/setup.h"

namespace thresher::schedule {
namespace {

constexpr double text_bytes_per_token = 4;

}  // namespace

comm::Layout automatic_layout(const Job& job, const Survey& survey, const Hosts& hosts) {
  const model::ModelConfig config = model::read_config(base::real_files(), job.model);
  const Choices choices = choose(job, config, survey);
  const auto documents = static_cast<double>(std::max<std::int64_t>(1, survey.shards.back()));
  const double tokens =
      static_cast<double>(survey.tokens) + static_cast<double>(survey.text_bytes) / text_bytes_per_token;
  Demand demand{
      .config = config,
      .dtype = choices.dtype,
      .streaming = job.streaming,
      .load = {},
      .columns = choices.columns,
      .tokens_per_batch = job.streaming == model::Streaming::off ? choices.tokens_per_batch : job.tokens_per_batch,
      .shard_documents = static_cast<double>(job.shard_documents),
      .shard_bytes = static_cast<double>(survey.shard_bytes)};
  const LengthClass mean{std::max(2.0, tokens / documents), documents};
  demand.load = load_of(std::span(&mean, 1), choices.rule, 1, static_cast<double>(survey.text_bytes));
  demand.load.longest = static_cast<double>(std::min(choices.rule.window, survey.longest + 1));
  return choose_layout(demand, hosts);
}

}  // namespace thresher::schedule
