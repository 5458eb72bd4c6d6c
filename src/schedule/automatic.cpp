#include "schedule/automatic.h"

#include <algorithm>
#include <map>

#include "schedule/setup.h"
#include "thresher/base/cores.h"
#include "thresher/base/machine.h"

namespace thresher::schedule {
namespace {

constexpr double text_bytes_per_token = 4;

}  // namespace

Hosts gather_hosts(comm::Comm& world, std::span<const std::string> names, std::int64_t gpu_memory) {
  const auto memory = world.all_gather(std::to_string(base::machine_memory()));
  const auto cores = world.all_gather(std::to_string(base::usable_cores()));
  Hosts hosts;
  std::map<std::string, std::size_t> places;
  hosts.cores = std::stoi(cores.front());
  hosts.gpu_memory = gpu_memory;
  for (std::size_t rank = 0; rank < names.size(); ++rank) {
    const auto [place, is_new] = places.emplace(names[rank], hosts.ranks.size());
    if (is_new) {
      hosts.ranks.push_back(0);
      hosts.memory.push_back(std::stoll(memory[rank]));
    }
    ++hosts.ranks[place->second];
    hosts.cores = std::min(hosts.cores, std::stoi(cores[rank]));
  }
  return hosts;
}

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
