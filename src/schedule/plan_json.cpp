#include <nlohmann/json.hpp>

#include "thresher/schedule/plan_report.h"

namespace thresher::schedule {
namespace {

using Json = nlohmann::ordered_json;

Json memory_json(const Memory& memory) {
  return {{"total", memory.total()},     {"weights", memory.weights}, {"activations", memory.activations},
          {"exchange", memory.exchange}, {"rows", memory.rows},       {"gather", memory.gather},
          {"base", memory.base},         {"loading", memory.loading}};
}

Json stage_json(const StageCost& stage) {
  const StageTime& time = stage.time;
  Json shards = Json::array();
  for (const Memory& shard : stage.shards) shards.push_back({{"total", shard.total()}, {"gather", shard.gather}});
  return {{"halves", {stage.halves.first, stage.halves.last}},
          {"seconds",
           {{"total", time.total()},
            {"products", time.products},
            {"attention", time.attention},
            {"elementwise", time.elementwise},
            {"head", time.head},
            {"reduce", time.reduce},
            {"boundary", time.boundary},
            {"copies", time.copies}}},
          {"memory", memory_json(stage.memory)},
          {"layers", stage.memory.layers},
          {"streamed_layers", stage.memory.streamed},
          {"shards", shards}};
}

Json layout_json(const Candidate& one) {
  const Cost& cost = one.cost;
  Json json{{"layout", cost.layout.text()},
            {"dp", cost.layout.data},
            {"pp", cost.layout.stages},
            {"tp", cost.layout.shards},
            {"fits", one.fits},
            {"reason", one.reason},
            {"nodes", cost.nodes},
            {"ranks_per_node", cost.ranks_per_node},
            {"tokens_per_second", cost.tokens_per_second},
            {"seconds", cost.seconds},
            {"load_seconds", cost.load_seconds},
            {"joules", cost.joules},
            {"price", cost.price},
            {"batch_seconds", cost.batch_seconds},
            {"bottleneck_stage", cost.bottleneck},
            {"imbalance", cost.imbalance},
            {"sharing", cost.sharing},
            {"fill_share", cost.fill},
            {"tail_share", cost.tail},
            {"output_bytes", cost.output_bytes},
            {"output_mode", output_mode(cost.output_bytes) == OutputMode::sharded ? "sharded" : "gather"},
            {"rank_memory", cost.most_memory()},
            {"node_memory", cost.node_memory},
            {"node_pinned", cost.node_pinned},
            {"batch_tokens", cost.batch_tokens}};
  for (const StageCost& stage : cost.stages) json["stages"].push_back(stage_json(stage));
  return json;
}

Json simulation_json(const SimulationResult& result) {
  return {{"seconds", result.seconds},
          {"requests", result.counts.requests},
          {"leases", result.counts.leases},
          {"parts", result.counts.parts},
          {"longest_lease", result.counts.longest_lease},
          {"commits", result.commits},
          {"events", result.events},
          {"busy", result.busy},
          {"wait_lease", result.wait_lease},
          {"wait_credit", result.wait_credit},
          {"tail", result.tail},
          {"requests_per_second", result.requests_per_second},
          {"peak_requests_per_second", result.peak_requests_per_second},
          {"gather_bytes_per_second", result.gather_bytes_per_second},
          {"coordinator_busy", result.coordinator_busy}};
}

}  // namespace

std::string plan_json(const PlanReport& report) {
  const Load& load = report.demand.load;
  Json json{{"model", report.model},
            {"dtype", tensor::name_of(report.demand.dtype)},
            {"int8_head", report.demand.int8_head},
            {"machine", report.machine.name},
            {"ranks", report.ranks},
            {"corpus",
             {{"from", report.corpus},
              {"documents", load.documents},
              {"text_bytes", load.text_bytes},
              {"tokens_fed", load.fed},
              {"tokens_scored", load.scored},
              {"mean_context", load.length() / 2},
              {"longest_window", load.longest}}}};
  for (const Candidate& one : report.candidates) json["layouts"].push_back(layout_json(one));
  if (report.simulated) json["simulation"] = simulation_json(*report.simulated);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace thresher::schedule
