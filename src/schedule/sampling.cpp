#include "schedule/sampling.h"

#include <algorithm>
#include <utility>

#include "thresher/engine/score_task.h"

namespace thresher::schedule {
namespace {

// Rows in the sample's order, at the leader.
std::vector<store::Rows> score(const Sampler& sampler, const std::vector<engine::EncodedShard>& sample) {
  Setup& setup = sampler.setup;
  // A message of this stage must not find a rank that still listens for the one before.
  sampler.grid.replica().barrier();
  engine::Stage stage(setup.transformer(), sampler.grid, setup.stage_options(), sampler.activity);
  std::vector<store::Rows> rows;
  if (!stage.leads()) {
    stage.follow();
    return rows;
  }
  store::Columns columns = setup.choices().columns;
  columns.per_token = true;
  engine::ScoreTask task(stage, {setup.choices().tokens_per_batch, setup.choices().rule, columns, setup.policy().lead,
                                 setup.policy().bare_lead, sampler.job.share_prefixes});
  for (const engine::EncodedShard& one : sample) task.add(one);
  while (!task.idle()) {
    task.step(true);
    for (store::Rows& finished : task.take_finished()) rows.push_back(std::move(finished));
  }
  for (store::Rows& finished : task.take_finished()) rows.push_back(std::move(finished));
  stage.close();
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.shard < b.shard; });
  return rows;
}

}  // namespace

std::optional<Int8Error> measure_int8(const Sampler& sampler) {
  Setup& setup = sampler.setup;
  const comm::Place place = sampler.grid.place();
  const bool leads = place.stage == 0 && place.shard == 0;
  std::vector<engine::EncodedShard> sample;
  if (leads) sample = draw_sample(setup.corpus(), sampler.survey.digest, setup.policy());
  const std::vector<store::Rows> in_int8 = score(sampler, sample);
  setup.load_again(sampler.job, tensor::DType::bf16);
  const std::vector<store::Rows> in_bf16 = score(sampler, sample);
  if (!leads) return std::nullopt;
  return compare(in_int8, in_bf16);
}

}  // namespace thresher::schedule
