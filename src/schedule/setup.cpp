#include "schedule/setup.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <optional>

#include "thresher/base/check.h"
#include "thresher/base/machine.h"

namespace thresher::schedule {
namespace {

constexpr std::int64_t default_tokens_per_batch = 1024;

// The token a user asked to begin documents with.
text::TokenId begin_token(const char* option, const char* name, const std::optional<std::int64_t>& id) {
  if (!id)
    base::fail(base::Exit::config, fmt::format("{} asks for the model's {} token, but config.json names no {}_token_id",
                                               option, name, name));
  return static_cast<text::TokenId>(*id);
}

}  // namespace

Setup::Setup(const Job& job, const Survey& survey, int local_ranks)
    : config_(model::read_config(base::real_files(), job.model)), corpus_(store::open_corpus(survey.corpus)) {
  choices_.dtype = job.dtype.value_or(config_.weights == tensor::DType::f32 ? tensor::DType::f32 : tensor::DType::bf16);
  choices_.threads = job.threads > 0 ? job.threads : std::max(1, base::usable_cores() / local_ranks);
  choices_.columns = {corpus_->info().pairs, job.per_token || job.top_k > 0, job.top_k};
  if (job.top_k > config_.vocabulary)
    base::fail(base::Exit::config,
               fmt::format("--top-k {} is more than the vocabulary's {} tokens", job.top_k, config_.vocabulary));
  choose_tokens(job);
  choose_windows(job);

  const auto lead = static_cast<std::int64_t>(policy_.lead.size());
  const std::int64_t longest = std::min(choices_.rule.window, survey.longest + lead + 1);
  plain_device_ = device::make_cpu_device({choices_.threads});
  device_ = std::make_unique<device::TracingDevice>(*plain_device_);
  transformer_ = std::make_unique<model::Transformer>(
      *device_, base::real_files(), job.model, config_, choices_.dtype,
      model::Capacity{std::max(choices_.tokens_per_batch, longest), longest, job.top_k});
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
}

void Setup::choose_windows(const Job& job) {
  engine::WindowRule& rule = choices_.rule;
  const auto lead = static_cast<std::int64_t>(policy_.lead.size());
  rule.rolling = job.prefix != PrefixToken::none;
  rule.window = job.window > 0 ? job.window : config_.positions;
  if (rule.window > config_.positions && config_.rope.kind != model::RopeKind::dynamic)
    base::fail(base::Exit::config,
               fmt::format("--window {} is more than the model's {} positions", rule.window, config_.positions));
  if (rule.window < lead + 2)
    base::fail(base::Exit::config,
               fmt::format("--window {} leaves no room: {} tokens stand in front and at least 2 are "
                           "needed",
                           rule.window, lead));
  rule.stride = job.stride > 0 ? job.stride : rule.window / 2;
  if (rule.stride >= rule.window)
    base::fail(base::Exit::config,
               fmt::format("--stride {} must be less than the window's {} tokens", rule.stride, rule.window));
  choices_.tokens_per_batch = job.tokens_per_batch > 0 ? job.tokens_per_batch : default_tokens_per_batch;
}

std::map<std::string, std::string> Setup::plan_values(const Survey& survey, const Job& job) const {
  return {{"model", transformer_->load_report().digest.hex()},
          {"tokenizer", tokenizer_->fingerprint()},
          {"corpus", survey.digest},
          {"dtype", std::string(tensor::name_of(choices_.dtype))},
          {"device", device_->kind()},
          {"isa", device_->isa()},
          {"window", std::to_string(choices_.rule.window)},
          {"stride", std::to_string(choices_.rule.stride)},
          {"windows", choices_.rule.rolling ? "rolling" : "plain"},
          {"lead_tokens", fmt::format("{}", fmt::join(policy_.lead, " "))},
          {"pairs", choices_.columns.pairs ? "yes" : "no"},
          {"per_token", choices_.columns.per_token ? "yes" : "no"},
          {"top_k", std::to_string(choices_.columns.top_k)},
          {"shard_documents", std::to_string(job.shard_documents)},
          {"shard_bytes", std::to_string(survey.shard_bytes)},
          {"output_mode", "gather"}};
}

}  // namespace thresher::schedule
