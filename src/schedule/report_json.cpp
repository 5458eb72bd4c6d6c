#include <cmath>
#include <nlohmann/json.hpp>

#include "schedule/report.h"
#include "schedule/report_gpu.h"

namespace thresher::schedule {
namespace {

using Json = nlohmann::ordered_json;

// e to the mean loss per unit; null where there is nothing to divide by.
Json perplexity(double logprob, std::int64_t units) {
  return units > 0 ? Json(std::exp(-logprob / static_cast<double>(units))) : Json();
}

Json time_shares(const Outcome& outcome) {
  Json shares;
  for (const auto& [label, name] :
       std::initializer_list<std::pair<const char*, const char*>>{{"compute", "score"},
                                                                  {"wait_input", "wait input"},
                                                                  {"wait_stage", "wait before"},
                                                                  {"wait_room", "wait after"},
                                                                  {"reduce", "reduce"},
                                                                  {"communicate", "communicate"},
                                                                  {"wait_commit", "wait commit"},
                                                                  {"read", "read"},
                                                                  {"tokenize", "tokenize"},
                                                                  {"write", "write"}}) {
    double seconds = 0;
    for (const base::Metrics& rank : outcome.ranks) seconds += rank.value(name);
    const double rank_seconds = outcome.score_seconds * static_cast<double>(outcome.ranks.size());
    shares[label] = rank_seconds > 0 ? seconds / rank_seconds : 0;
  }
  return shares;
}

// Without what the GPUs did not tell.
Json gpu_json(const GpuTotals& totals) {
  Json json;
  json["gpus"] = totals.gpus;
  const auto put = [&](const char* name, const std::optional<double>& value) {
    if (value) json[name] = *value;
  };
  put("energy_joules", totals.energy);
  put("joules_per_token", totals.joules_per_token);
  put("utilisation", totals.utilisation);
  put("clock_mhz", totals.clock);
  put("throttled_seconds", totals.throttled);
  if (totals.memory_peak) json["memory_peak_bytes"] = static_cast<std::int64_t>(*totals.memory_peak);
  if (totals.allocated_peak) json["allocated_peak_bytes"] = static_cast<std::int64_t>(*totals.allocated_peak);
  return json;
}

}  // namespace

std::string summary_json(const Outcome& outcome) {
  const store::Totals& totals = outcome.totals;
  const Shares shares = shares_of(outcome);
  Json json;
  json["documents"] = totals.documents;
  for (int status = 0; status < 5; ++status)
    json["documents_by_status"][std::string(store::name_of(static_cast<store::Status>(status)))] =
        totals.by_status[status];
  json["tokens"] = totals.tokens;
  json["bytes"] = totals.bytes;
  json["words"] = totals.words;
  json["logprob"] = totals.logprob;
  json["token_perplexity"] = perplexity(totals.logprob, totals.tokens);
  json["word_perplexity"] = perplexity(totals.logprob, totals.words);
  json["byte_perplexity"] = perplexity(totals.logprob, totals.bytes);
  json["bits_per_byte"] =
      totals.bytes > 0 ? Json(-totals.logprob / static_cast<double>(totals.bytes) / std::log(2.0)) : Json();
  json["seconds"] = outcome.seconds;
  json["score_seconds"] = outcome.score_seconds;
  json["tokens_per_second"] = shares.tokens_per_second;
  json["rows_computed"] = static_cast<std::int64_t>(shares.rows_computed);
  json["rows_shared"] = static_cast<std::int64_t>(shares.rows_shared);
  json["flops_per_second"] = shares.flops_per_second;
  json["peak_flops"] = shares.peak;
  json["peak_fraction"] = shares.peak_fraction;
  json["products_fraction"] = shares.products_fraction;
  json["ranks"] = outcome.ranks.size();
  json["threads"] = outcome.threads;
  json["pinned"] = outcome.pinned;
  json["layout"] = outcome.layout.text();
  json["dtype"] = outcome.dtype;
  json["device"] = outcome.device;
  json["isa"] = outcome.isa;
  if (outcome.int8_error) json["int8_error"] = Json::parse(int8_error_json(*outcome.int8_error));
  json["time_shares"] = time_shares(outcome);
  if (const StreamingReport streaming = streaming_of(outcome); streaming.streamed > 0)
    json["streaming"] = {{"layers", streaming.layers},
                         {"streamed_layers", streaming.streamed},
                         {"bytes_per_batch", static_cast<std::int64_t>(streaming.bytes)},
                         {"waiting", streaming.waiting},
                         {"foreseen_waiting", streaming.foreseen}};
  double memory = 0;
  for (const base::Metrics& rank : outcome.ranks) memory = std::max(memory, rank.value("peak memory"));
  json["peak_memory_bytes"] = static_cast<std::int64_t>(memory);
  if (const auto idle = device_idle(outcome)) json["device_idle_share"] = *idle;
  if (const GpuTotals gpus = gpu_totals(outcome); gpus.gpus > 0) json["gpu"] = gpu_json(gpus);
  return json.dump(2) + "\n";
}

std::string int8_error_json(const Int8Error& error) {
  Json json;
  json["against"] = "bf16";
  json["documents"] = error.documents;
  json["tokens"] = error.tokens;
  json["mean_difference"] = error.mean;
  json["max_difference"] = error.greatest;
  json["perplexity_ratio"] = error.ratio;
  if (error.interval) {
    json["perplexity_ratio_95"] = {error.interval->first, error.interval->second};
  } else {
    json["perplexity_ratio_95"] = nullptr;
  }
  return json.dump();
}

store::RunDirectory::Attributes attributes_of(const std::optional<Int8Error>& error) {
  if (!error) return {};
  return {{"int8_error", int8_error_json(*error)}};
}

std::string run_json(const Job& job, const Outcome& outcome, const std::vector<std::string>& hosts,
                     const std::string& started, const std::string& ended) {
  Json json;
  json["command"] = job.command;
  for (const auto& [name, value] : job.options) json["options"][name] = value;
  json["started"] = started;
  json["ended"] = ended;
  json["layout"] = outcome.layout.text();
  json["device"] = outcome.device;
  json["isa"] = outcome.isa;
  if (!outcome.transport.empty()) json["gpu_transport"] = outcome.transport;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
    Json entry;
    entry["rank"] = rank;
    entry["host"] = hosts[rank];
    entry["replica"] = outcome.places[rank].replica;
    entry["stage"] = outcome.places[rank].stage;
    entry["shard"] = outcome.places[rank].shard;
    for (const auto& [name, value] : outcome.ranks[rank].values()) entry["metrics"][name] = value;
    json["ranks"].push_back(entry);
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace thresher::schedule
