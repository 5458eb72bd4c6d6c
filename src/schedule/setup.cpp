#include "schedule/setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "schedule/streaming.h"
#include "schedule/tuning.h"
#include "thresher/base/check.h"
#include "thresher/base/log.h"
#include "thresher/base/machine.h"
#include "thresher/device/cuda.h"
#include "thresher/engine/score_task.h"

namespace thresher::schedule {
namespace {

constexpr std::int64_t default_tokens_per_batch = 1024;
constexpr std::int64_t default_tokens_per_gpu_batch = 16384;  // enough to keep a GPU's products busy
constexpr std::int64_t most_lead = 4;  // tokens in front that memory is planned for; more make it grow

// Bytes of the results, with four bytes of text a token: nothing but the corpus and the columns decides.
double predicted_output(const Survey& survey, const store::Columns& columns) {
  const std::int64_t tokens = survey.text_bytes / 4 + survey.tokens;
  return static_cast<double>(64 * survey.shards.back() + (columns.per_token ? tokens * (16 + 8 * columns.top_k) : 0));
}

// The token a user asked to begin documents with.
text::TokenId begin_token(const char* option, const char* name, const std::optional<std::int64_t>& id) {
  if (!id)
    base::fail(base::Exit::config, fmt::format("{} asks for the model's {} token, but config.json names no {}_token_id",
                                               option, name, name));
  return static_cast<text::TokenId>(*id);
}

engine::WindowRule choose_windows(const Job& job, const model::ModelConfig& config) {
  engine::WindowRule rule;
  rule.rolling = job.prefix != PrefixToken::none;
  rule.window = job.window > 0 ? job.window : config.positions;
  if (rule.window > config.positions && config.rope.kind != model::RopeKind::dynamic)
    base::fail(base::Exit::config,
               fmt::format("--window {} is more than the model's {} positions", rule.window, config.positions));
  rule.stride = job.stride > 0 ? job.stride : rule.window / 2;
  if (rule.stride >= rule.window)
    base::fail(base::Exit::config,
               fmt::format("--stride {} must be less than the window's {} tokens", rule.stride, rule.window));
  return rule;
}

}  // namespace

Choices choose(const Job& job, const model::ModelConfig& config, const Survey& survey) {
  Choices choices;
  choices.dtype = job.dtype.value_or(config.weights == tensor::DType::f32 ? tensor::DType::f32 : tensor::DType::bf16);
  choices.tokens_per_batch = job.tokens_per_batch > 0         ? job.tokens_per_batch
                             : job.device == DeviceKind::cuda ? default_tokens_per_gpu_batch
                                                              : default_tokens_per_batch;
  choices.rule = choose_windows(job, config);
  choices.columns = {survey.pairs, job.per_token || job.top_k > 0, job.top_k};
  choices.sharded =
      job.output_mode.value_or(output_mode(predicted_output(survey, choices.columns))) == OutputMode::sharded;
  if (job.top_k > config.vocabulary)
    base::fail(base::Exit::config,
               fmt::format("--top-k {} is more than the vocabulary's {} tokens", job.top_k, config.vocabulary));
  return choices;
}

// On one host the page cache holds what another rank has read; between hosts the network is faster than shared storage
// that all of them read at once.
bool load_by_broadcast(const Job& job, const comm::Grid& grid, std::span<const std::string> hosts) {
  if (grid.layout().data == 1) return false;
  if (job.load != LoadMode::automatic) return job.load == LoadMode::broadcast;
  const comm::Place place = grid.place();
  const auto host_of = [&](int replica) {
    return hosts[static_cast<std::size_t>(grid.rank_of({replica, place.stage, place.shard}))];
  };
  for (int replica = 1; replica < grid.layout().data; ++replica)
    if (host_of(replica) != host_of(0)) return true;
  return false;
}

Setup::Setup(const Job& job, const Survey& survey, const Seat& seat)
    : config_(model::read_config(base::real_files(), job.model)), choices_(choose(job, config_, survey)) {
  if (seat.leads()) {
    corpus_ = store::open_corpus(survey.corpus);
    choose_tokens(job);
  }
  load_model(job, survey, seat);
}

void Setup::load_model(const Job& job, const Survey& survey, const Seat& seat) {
  const comm::Layout& layout = seat.grid.layout();
  const comm::Place place = seat.grid.place();
  const auto stages = model::cut_stages(config_, layout.stages);
  const std::int64_t longest = std::min(choices_.rule.window, survey.longest + most_lead + 1);
  model::StageOptions options{.dtype = choices_.dtype,
                              .int8_head = job.int8_head,
                              .capacity = {std::max(choices_.tokens_per_batch, longest), longest, job.top_k},
                              .part = {},
                              .tensor = &seat.grid.tensor(),
                              .peers = seat.peers,
                              .streaming = job.streaming};
  options.part = model::Part{stages[static_cast<std::size_t>(place.stage)], place.shard, layout.shards, job.tp_exact};
  plain_device_ = job.device == DeviceKind::cuda
                      ? device::make_cuda_device({.gpu = seat.gpu, .threads = seat.threads.count, .algorithms = {}})
                      : device::make_cpu_device({seat.threads.count, seat.threads.pinned});
  if (!seat.algorithms.empty()) give_algorithms(*plain_device_, seat.algorithms, job.output.string());
  device_ = std::make_unique<device::TracingDevice>(*plain_device_);
  if (seat.nccl && layout.shards > 1)
    sums_ = comm::nccl_sums(seat.grid.tensor(), *device_,
                            {.whose = fmt::format("the shards of replica {}, stage {}", place.replica, place.stage)});
  options.sums = sums_.get();
  if (job.share_prefixes && engine::ScoreTask::can_share_prefixes(config_, *device_))
    options.capacity.tokens = engine::most_rows(choices_.tokens_per_batch, longest);
  std::optional<model::StreamDemand> demand;
  if (job.device == DeviceKind::cuda) demand = stream_demand(*device_, config_, options);
  if (job.device == DeviceKind::cuda && job.tokens_per_batch == 0) size_batches(demand, seat, options);
  if (seat.nccl && layout.stages > 1)
    pipes_ = comm::nccl_pipes(seat.grid, *device_, options.capacity.tokens * config_.hidden * 4);
  loaded_ = options;
  transformer_ = std::make_unique<model::Transformer>(*device_, base::real_files(), job.model, config_, options);
  if (transformer_->load_report().streamed_layers > 0) foresee_waiting(demand, options.capacity.tokens);
}

void Setup::load_again(const Job& job, tensor::DType dtype) {
  transformer_.reset();
  loaded_.dtype = dtype;
  loaded_.int8_head = false;
  loaded_.peers = nullptr;
  transformer_ = std::make_unique<model::Transformer>(*device_, base::real_files(), job.model, config_, loaded_);
}

void Setup::size_batches(const std::optional<model::StreamDemand>& demand, const Seat& seat,
                         model::StageOptions& options) {
  std::int64_t& tokens = options.capacity.tokens;
  const std::int64_t wanted = demand ? streamed_batch(*demand, options.streaming) : 0;
  for (const std::string& one : seat.grid.replica().all_gather(std::to_string(wanted)))
    tokens = std::max<std::int64_t>(tokens, std::stoll(one));
  choices_.tokens_per_batch = std::max(choices_.tokens_per_batch, tokens);
}

void Setup::foresee_waiting(const std::optional<model::StreamDemand>& demand, std::int64_t tokens) {
  const model::LoadReport& report = transformer_->load_report();
  constexpr double gib = 1 << 30;
  std::string text =
      fmt::format("{} of {} layers are streamed: {:.2f} GiB a batch of {} tokens", report.streamed_layers,
                  report.layers, static_cast<double>(report.streamed_bytes) / gib, tokens);
  if (demand) {
    foreseen_waiting_ = model::waiting_share(*demand, tokens, report.streamed_bytes);
    text += fmt::format(", at {:.1f} GB/s beside {:.1f} TFLOP/s; {:.1f} % of the time would go by waiting for them",
                        demand->copy / 1e9, demand->flops / 1e12, 100 * foreseen_waiting_);
  }
  base::info(text);
}

void Setup::record(base::Metrics& metrics) const {
  if (const auto use = device_->use()) {
    metrics.set("device busy", use->busy);
    metrics.set("device idle", use->idle);
  }
  double products = device_->score_time().products;
  for (const device::StepCost& cost : device_->steps()) {
    metrics.set("step " + cost.step, cost.seconds);
    if (cost.step == "matmul") products += cost.seconds;
  }
  metrics.set("products", products);
  metrics.set("reduce", transformer_->reduce_seconds());
  const model::LoadReport& report = transformer_->load_report();
  metrics.set("load", report.seconds);
  metrics.set("bytes read", static_cast<double>(report.bytes_read));
  metrics.set("weight bytes", static_cast<double>(report.weight_bytes));
  metrics.set("layers", report.layers);
  metrics.set("streamed layers", report.streamed_layers);
  metrics.set("streamed bytes", static_cast<double>(report.streamed_bytes));
  metrics.set("foreseen waiting", foreseen_waiting_);
  metrics.set("wait weights", device_->bring_time().waited);
}

engine::StageOptions Setup::stage_options() const {
  return {.tokens_per_batch = choices_.tokens_per_batch,
          .top_k = choices_.columns.top_k,
          .before = pipes_.before.get(),
          .after = pipes_.after.get()};
}

void Setup::choose_tokens(const Job& job) {
  const base::Path file = job.model / "tokenizer.json";
  tokenizer_ = text::load_tokenizer(file);
  const std::string& made_with = corpus_->info().tokenizer;
  if (!made_with.empty() && made_with != tokenizer_->fingerprint())
    base::fail(base::Exit::config,
               fmt::format("the corpus holds tokens of tokenizer {}, but {} is {}: import the text "
                           "again with --model {}",
                           made_with, file.string(), tokenizer_->fingerprint(), job.model.string()));
  policy_.tokenizer = tokenizer_.get();
  policy_.vocabulary = config_.vocabulary;
  const auto prefix = tokenizer_->special_prefix();
  if (job.prefix == PrefixToken::bos) {
    policy_.lead = {begin_token("--prefix-token bos", "bos", config_.bos)};
  } else if (job.prefix == PrefixToken::eos) {
    policy_.lead = {begin_token("--prefix-token eos", "eos", config_.eos)};
  } else if (job.bos != Bos::never) {
    policy_.lead.assign(prefix.begin(), prefix.end());
    if (job.bos == Bos::always && policy_.lead.empty())
      policy_.lead = {begin_token("--bos always", "bos", config_.bos)};
  }
  if (const auto& bare = config_.bos ? config_.bos : config_.eos)
    policy_.bare_lead = {static_cast<text::TokenId>(*bare)};
  const auto lead = static_cast<std::int64_t>(policy_.lead.size());
  if (choices_.rule.window < lead + 2)
    base::fail(base::Exit::config,
               fmt::format("--window {} leaves no room: {} tokens stand in front and at least 2 are "
                           "needed",
                           choices_.rule.window, lead));
}

std::map<std::string, std::string> Setup::machine_values() const {
  return {
      {"dtype", std::string(tensor::name_of(choices_.dtype))}, {"device", device_->kind()}, {"isa", device_->isa()}};
}

std::map<std::string, std::string> Setup::plan_values(const Survey& survey, const Job& job,
                                                      const std::string& model) const {
  std::map<std::string, std::string> values = machine_values();
  if (job.int8_head) values["head"] = tensor::name_of(tensor::DType::i8);
  const model::Part& part = transformer_->part();
  values.merge(
      std::map<std::string, std::string>{{"model", model},
                                         {"tokenizer", tokenizer_->fingerprint()},
                                         {"corpus", survey.digest},
                                         {"tp_exact", part.exact ? "yes" : fmt::format("no, {} shards", part.shards)},
                                         {"window", std::to_string(choices_.rule.window)},
                                         {"stride", std::to_string(choices_.rule.stride)},
                                         {"windows", choices_.rule.rolling ? "rolling" : "plain"},
                                         {"lead_tokens", fmt::format("{}", fmt::join(policy_.lead, " "))},
                                         {"pairs", choices_.columns.pairs ? "yes" : "no"},
                                         {"per_token", choices_.columns.per_token ? "yes" : "no"},
                                         {"top_k", std::to_string(choices_.columns.top_k)},
                                         {"shard_documents", std::to_string(job.shard_documents)},
                                         {"shard_bytes", std::to_string(survey.shard_bytes)},
                                         {"output_mode", choices_.sharded ? "sharded" : "gather"}});
  return values;
}

}  // namespace thresher::schedule
