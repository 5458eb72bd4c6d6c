#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "app/commands/commands.h"
#include "app/commands/plan_measure.h"
#include "thresher/schedule/lengths.h"
#include "thresher/schedule/plan_report.h"
#include "thresher/text/tokenizer.h"

namespace thresher::app {
namespace {

constexpr std::int64_t most_tokens = std::int64_t{1} << 24;
constexpr double least_simulated = 4;  // shards a replica

struct PlanOptions {
  base::Path model;
  std::string corpus, machine;
  std::optional<std::int64_t> documents, mean_tokens, longest_tokens;
  std::optional<std::int64_t> ranks, nodes;
  std::optional<tensor::DType> dtype;
  std::int64_t window = 0, stride = 0, shard_documents = 0;  // 0 = score's own choice
  double seconds = 5;
  bool simulate = false, sbatch = false, json = false;
  schedule::Demand demand;
};

PlanOptions read_options(Arguments& arguments) {
  PlanOptions options;
  arguments.require("model");
  options.model = arguments.text("model");
  options.corpus = arguments.text("corpus");
  options.machine = arguments.text("machine");
  constexpr std::int64_t most = std::int64_t{1} << 50;
  options.documents = arguments.whole("documents", 1, most);
  options.mean_tokens = arguments.whole("mean-tokens", 1, most_tokens);
  options.longest_tokens = arguments.whole("longest-tokens", 1, most_tokens);
  if (options.corpus.empty() && !(options.documents && options.mean_tokens))
    arguments.reject("--corpus is missing; without one, --documents and --mean-tokens are needed");
  if (!options.corpus.empty() && (options.documents || options.mean_tokens || options.longest_tokens))
    arguments.reject("--documents, --mean-tokens and --longest-tokens are for a plan without --corpus");
  if (options.mean_tokens && options.longest_tokens && *options.longest_tokens < *options.mean_tokens)
    arguments.reject(fmt::format("--longest-tokens {} is less than --mean-tokens {}", *options.longest_tokens,
                                 *options.mean_tokens));
  options.ranks = arguments.whole("ranks", 1, 65536);
  options.nodes = arguments.whole("nodes", 1, 65536);
  constexpr std::string_view dtypes[] = {"bf16", "f32", "int8"};
  constexpr tensor::DType named[] = {tensor::DType::bf16, tensor::DType::f32, tensor::DType::i8};
  if (const auto dtype = arguments.choice("dtype", dtypes)) options.dtype = named[*dtype];
  options.demand.int8_head = arguments.flag("int8-head");
  if (options.demand.int8_head && options.dtype != tensor::DType::i8)
    arguments.reject("--int8-head is for --dtype int8");
  options.demand.tokens_per_batch = arguments.whole("tokens-per-batch", 1, most_tokens).value_or(0);
  options.window = arguments.whole("window", 2, most_tokens).value_or(0);
  options.stride = arguments.whole("stride", 1, most_tokens).value_or(0);
  if (options.window > 0 && options.stride >= options.window)
    arguments.reject(fmt::format("--stride {} has to be less than --window {}", options.stride, options.window));
  options.demand.columns.top_k = static_cast<std::int32_t>(arguments.whole("top-k", 1, 1024).value_or(0));
  options.demand.columns.per_token = arguments.flag("per-token") || options.demand.columns.top_k > 0;
  options.shard_documents = arguments.whole("shard-documents", 1, std::int64_t{1} << 32).value_or(0);
  if (options.shard_documents > 0) options.demand.shard_documents = static_cast<double>(options.shard_documents);
  options.demand.shard_bytes =
      static_cast<double>(arguments.whole("shard-bytes", 1, std::int64_t{1} << 40, true).value_or(0));
  options.seconds = arguments.real("seconds", 0.1, 600).value_or(options.seconds);
  if (arguments.given("seconds") && !options.machine.empty())
    arguments.reject("--seconds is for measuring this machine; --machine names a description");
  options.simulate = arguments.flag("simulate");
  options.sbatch = arguments.flag("sbatch");
  options.json = arguments.flag("json");
  if (options.sbatch && options.json) arguments.reject("--sbatch cannot be combined with --json");
  arguments.finish();
  return options;
}

model::ModelConfig read_model(const base::Path& path) {
  if (std::filesystem::is_directory(path)) return model::read_config(base::real_files(), path);
  return model::parse_config(base::read_all(base::real_files(), path, model::config_size_limit), path.string());
}

schedule::CorpusLengths lengths_of(const PlanOptions& options, std::int64_t& lead) {
  base::FileSystem& files = base::real_files();
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (const base::Path file = options.model / "tokenizer.json"; files.exists(file)) {
    tokenizer = text::load_tokenizer(file);
    lead = static_cast<std::int64_t>(tokenizer->special_prefix().size());
  }
  if (options.corpus.empty()) {
    const auto mean = static_cast<double>(*options.mean_tokens);
    const auto longest = static_cast<double>(options.longest_tokens.value_or(*options.mean_tokens));
    return schedule::supposed_lengths(static_cast<double>(*options.documents), mean, longest);
  }
  if (!store::is_hdf5(files, options.corpus))
    base::fail(base::Exit::usage, fmt::format("{} is no HDF5 corpus: run thresher import first, or describe the texts "
                                              "by --documents and --mean-tokens",
                                              options.corpus));
  return schedule::measure_lengths(*store::open_corpus(options.corpus), tokenizer.get());
}

// Fills what a job would have decided itself.
schedule::CorpusLengths fill_demand(PlanOptions& options) {
  schedule::Demand& demand = options.demand;
  demand.config = read_model(options.model);
  demand.dtype =
      options.dtype.value_or(demand.config.weights == tensor::DType::f32 ? tensor::DType::f32 : tensor::DType::bf16);
  std::int64_t lead = demand.config.bos ? 1 : 0;
  schedule::CorpusLengths lengths = lengths_of(options, lead);
  engine::WindowRule rule{.window = options.window > 0 ? options.window : demand.config.positions};
  rule.stride = options.stride > 0 ? options.stride : rule.window / 2;
  if (rule.window > demand.config.positions)
    base::fail(base::Exit::config,
               fmt::format("--window {} is more than the model's {} positions", rule.window, demand.config.positions));
  demand.load = schedule::load_of(lengths.classes, rule, lead, lengths.text_bytes);
  if (demand.load.scored < 1) base::fail(base::Exit::data, "no document has a token to score: nothing to plan");
  return lengths;
}

// Nodes and ranks as asked for; a node's devices get a rank each where only one of the two is given.
int fill_machine(const PlanOptions& options, double encode_rate, schedule::Machine& machine) {
  const bool here = options.machine.empty();
  machine = here ? measure_machine(options.demand, options.seconds)
                 : schedule::read_machine(base::real_files(), options.machine);
  if (here) machine.tokenize = encode_rate;
  if (options.nodes) {
    machine.nodes = static_cast<int>(*options.nodes);
  } else if (options.ranks && !here) {
    machine.nodes = static_cast<int>((*options.ranks + machine.devices - 1) / machine.devices);
  }
  const int ranks = static_cast<int>(options.ranks.value_or(std::int64_t{machine.nodes} * machine.devices));
  if (ranks < machine.nodes) machine.nodes = ranks;
  if (const int each = (ranks + machine.nodes - 1) / machine.nodes; !machine.shared_cores() && each > machine.devices)
    base::fail(base::Exit::usage, fmt::format("{} ranks on {} nodes need {} GPUs a node, '{}' has {}", ranks,
                                              machine.nodes, each, machine.name, machine.devices));
  return ranks;
}

schedule::SimulationResult simulate_best(const schedule::Demand& demand, const schedule::Machine& machine,
                                         const schedule::Cost& cost) {
  schedule::SimulationSetup setup;
  setup.replicas = cost.layout.data;
  const double shards = std::max(1.0, cost.shards);
  const double work = demand.load.fed / cost.batch_tokens * cost.batch_seconds;  // of one replica alone
  // A corpus of billions of shards is played through as one of a million: more of the same would change nothing.
  const auto played = static_cast<std::int64_t>(std::min(shards, std::max(1e6, least_simulated * setup.replicas)));
  setup.shard_seconds = schedule::ragged_shards(played, work / shards, 0.3, 1);
  setup.part_bytes = cost.output_bytes / shards;
  const bool apart = cost.nodes > 1;
  setup.latency = apart ? machine.between.latency : machine.inside.latency;
  setup.gather_bandwidth = apart ? machine.between.bandwidth : machine.inside.bandwidth;
  setup.write_bandwidth = machine.storage_write;
  if (schedule::output_mode(cost.output_bytes) == schedule::OutputMode::sharded) setup.part_bytes = 100;
  return schedule::simulate(setup);
}

std::string score_command_line(const PlanOptions& options, const schedule::Machine& machine,
                               const schedule::Cost& cost) {
  std::string line = fmt::format(
      "thresher score \\\n  --model {} --corpus {} --output \"${{RUN_DIR:-runs/planned}}\" "
      "\\\n  --layout {} --dtype {} --device {}",
      quoted(options.model.string()), options.corpus.empty() ? "\"${CORPUS:?}\"" : quoted(options.corpus),
      cost.layout.text(), tensor::name_of(options.demand.dtype), machine.device);
  if (options.demand.int8_head) line += " --int8-head";
  if (options.demand.tokens_per_batch > 0)
    line += fmt::format(" --tokens-per-batch {}", options.demand.tokens_per_batch);
  const auto add = [&](const char* name, std::int64_t value) {
    if (value > 0) line += fmt::format(" --{} {}", name, value);
  };
  add("window", options.window);
  add("stride", options.stride);
  add("shard-documents", options.shard_documents);
  add("shard-bytes", static_cast<std::int64_t>(options.demand.shard_bytes));
  add("top-k", options.demand.columns.top_k);
  if (options.demand.columns.per_token && options.demand.columns.top_k == 0) line += " --per-token";
  return line;
}

std::string corpus_text(const PlanOptions& options, const schedule::CorpusLengths& lengths) {
  if (options.corpus.empty()) return "supposed lengths";
  return lengths.measured ? options.corpus
                          : fmt::format("{} ({} bytes a token assumed)", options.corpus, lengths.bytes_per_token);
}

base::Exit run(Arguments& arguments, schedule::World) {
  PlanOptions options = read_options(arguments);
  const schedule::CorpusLengths lengths = fill_demand(options);
  schedule::Machine machine;
  const int ranks = fill_machine(options, lengths.encode_rate, machine);
  schedule::PlanReport report{.model = options.model.string(),
                              .corpus = corpus_text(options, lengths),
                              .demand = options.demand,
                              .machine = machine,
                              .ranks = ranks,
                              .candidates = schedule::rank_layouts(options.demand, machine, ranks),
                              .simulated = {}};
  const schedule::Candidate& best = report.candidates.front();
  if (options.simulate && best.fits) report.simulated = simulate_best(options.demand, machine, best.cost);
  if (options.sbatch && !best.fits)
    base::fail(base::Exit::config,
               fmt::format("nothing fits {} ranks: even {} {}", ranks, best.cost.layout.text(), best.reason));
  const std::string out = options.json ? schedule::plan_json(report)
                          : options.sbatch
                              ? schedule::sbatch_script(report, score_command_line(options, machine, best.cost))
                              : schedule::plan_text(report);
  std::fwrite(out.data(), 1, out.size(), stdout);
  return base::Exit::ok;
}

}  // namespace

Command plan_command() {
  Command command;
  command.name = "plan";
  command.summary = "which layout is best for a job, and what it will cost";
  command.usage = "plan --model DIR|config.json --corpus FILE [options]";
  command.text =
      "Prints every layout of the ranks with its memory, speed and time, the best one\n"
      "first, and why the others lose. Nothing is scored. The machine is this one,\n"
      "measured for a few seconds, or a description (configs/README.md).";
  command.example =
      "thresher plan --model configs/models/llama-70b.json --documents 1000000 \\\n"
      "    --mean-tokens 2048 --machine configs/h100x8.json --nodes 8";
  command.groups = {{"The job",
                     {{"model", Arity::one, "DIR|FILE", "model directory, or just a config.json", ""},
                      {"corpus", Arity::one, "FILE", "HDF5 corpus: its lengths count, tokens by encoding a sample", ""},
                      {"documents", Arity::one, "N", "without a corpus: how many documents", ""},
                      {"mean-tokens", Arity::one, "N", "their mean length", ""},
                      {"longest-tokens", Arity::one, "N", "and the longest; in between as web texts are", "all alike"},
                      {"dtype", Arity::one, "NAME", "bf16, f32 or int8", "bf16, or f32 where the weights are"},
                      {"int8-head", Arity::flag, "", "as for score", ""},
                      {"tokens-per-batch", Arity::one, "N", "tokens of a batch", "the machine's, or 1024"},
                      {"window", Arity::one, "N", "as for score", "the model's positions"},
                      {"stride", Arity::one, "N", "as for score", "half a window"},
                      {"per-token", Arity::flag, "", "as for score: more output", ""},
                      {"top-k", Arity::one, "K", "as for score: more output", ""},
                      {"shard-documents", Arity::one, "N", "as for score", "512"},
                      {"shard-bytes", Arity::one, "N", "as for score", "corpus / 1024, 256K to 64M"}}},
                    {"The machine",
                     {{"machine", Arity::one, "FILE", "description of a machine (JSON)", "this one, measured"},
                      {"ranks", Arity::one, "N", "ranks in all", "one a device"},
                      {"nodes", Arity::one, "N", "nodes", "as many as the ranks need"},
                      {"seconds", Arity::one, "S", "how long to measure this machine", "5"}}},
                    {"What to print",
                     {{"simulate", Arity::flag, "", "also play the schedule through, lease by lease", ""},
                      {"sbatch", Arity::flag, "", "print a batch script of the best layout instead", ""},
                      {"json", Arity::flag, "", "print JSON", ""}}}};
  command.run = run;
  return command;
}

}  // namespace thresher::app
