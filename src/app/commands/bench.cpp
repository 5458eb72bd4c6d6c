#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "app/commands/bench_score.h"
#include "app/commands/commands.h"
#include "thresher/base/cores.h"
#include "thresher/device/bench.h"
#include "thresher/model/config.h"

namespace thresher::app {
namespace {

struct BenchOptions {
  BenchSettings settings;
  std::vector<tensor::DType> dtypes;
  bool score = false;
  bool json = false;
  base::Path make_model;
};

// The shape of an existing model, by its config.json.
model::MakeModel shape_of(const base::Path& file) {
  const base::Path directory = std::filesystem::is_directory(file) ? file : file.parent_path();
  const model::ModelConfig config = model::read_config(base::real_files(), directory);
  model::MakeModel shape;
  shape.architecture = config.architecture.substr(0, config.architecture.find("ForCausalLM"));
  std::ranges::transform(shape.architecture, shape.architecture.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  shape.layers = config.layers;
  shape.hidden = config.hidden;
  shape.intermediate = config.intermediate;
  shape.query_heads = config.query_heads;
  shape.kv_heads = config.kv_heads;
  shape.head_size = config.head_size;
  shape.vocabulary = config.vocabulary;
  shape.positions = config.positions;
  shape.rope_theta = config.rope_theta;
  shape.tied_head = config.tied_head;
  return shape;
}

std::vector<tensor::DType> read_dtypes(Arguments& arguments) {
  std::vector<tensor::DType> dtypes;
  const std::string given = arguments.given("dtype") ? arguments.text("dtype") : "bf16";
  for (std::string_view rest = given; !rest.empty();) {
    const std::string_view name = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (name == "bf16") {
      dtypes.push_back(tensor::DType::bf16);
    } else if (name == "f32") {
      dtypes.push_back(tensor::DType::f32);
    } else if (name == "int8") {
      dtypes.push_back(tensor::DType::i8);
    } else {
      arguments.reject(fmt::format("--dtype is '{}', but has to be bf16, f32, int8 or some with commas", given));
      break;
    }
  }
  return dtypes;
}

BenchOptions read_options(Arguments& arguments) {
  BenchOptions options;
  options.dtypes = read_dtypes(arguments);
  options.score = arguments.flag("score");
  options.settings.int8_head = arguments.flag("int8-head");
  options.json = arguments.flag("json");
  options.make_model = arguments.text("make-model");
  options.settings.threads = static_cast<int>(arguments.whole("threads", 1, 4096).value_or(base::usable_cores()));
  constexpr std::string_view devices[] = {"cpu", "cuda"};
  const bool cuda = arguments.choice("device", devices) == 1;
  const std::optional<std::int64_t> gpu = arguments.whole("gpu", 0, 1023);
  if (cuda) options.settings.gpu = static_cast<int>(gpu.value_or(0));
  if (gpu && !cuda) arguments.reject("--gpu is for --device cuda");
  options.settings.tokens_per_batch = arguments.whole("tokens-per-batch", 2, 1 << 20).value_or(cuda ? 16384 : 2048);
  options.settings.document = arguments.whole("document", 2, 1 << 20).value_or(512);
  options.settings.seconds = arguments.real("seconds", 0.01, 3600).value_or(3);
  options.settings.seconds_per_step = options.settings.seconds / 10;
  const std::optional<std::int64_t> seed = arguments.whole("seed", 0, INT64_MAX);
  if (cuda && std::count(options.dtypes.begin(), options.dtypes.end(), tensor::DType::i8) > 0)
    arguments.reject("--dtype int8 is for --device cpu");
  if (options.settings.int8_head && std::ranges::count(options.dtypes, tensor::DType::i8) == 0)
    arguments.reject("--int8-head is for --dtype int8");
  if (seed && options.make_model.empty()) arguments.reject("--seed is for --make-model");
  if (options.score && !options.make_model.empty()) arguments.reject("--score cannot be combined with --make-model");
  arguments.finish();

  const std::string shape = arguments.given("shape") ? arguments.text("shape") : "llama-1b";
  options.settings.shape = std::filesystem::exists(shape) ? shape_of(shape) : model::named_shape(shape);
  if (arguments.given("architecture")) options.settings.shape.architecture = arguments.text("architecture");
  options.settings.shape.seed = static_cast<std::uint64_t>(seed.value_or(0));
  if (!options.make_model.empty()) options.settings.shape.dtype = options.dtypes.front();
  return options;
}

// What was measured, as JSON members and as lines for people.
struct Findings {
  std::string peaks, memories, steps, scores;
  std::string text;
};

std::string_view comma(const std::string& list) {
  return list.empty() ? "" : ", ";
}

device::BenchShape steps_of(const BenchSettings& settings) {
  const model::MakeModel& shape = settings.shape;
  return {.layers = shape.layers,
          .width = shape.hidden,
          .inner = shape.intermediate,
          .query_heads = shape.query_heads,
          .kv_heads = shape.kv_heads,
          .head_size = shape.head_size,
          .vocabulary = shape.vocabulary,
          .tokens = settings.tokens_per_batch,
          .sequence_length = std::min(settings.document, settings.tokens_per_batch),
          .pieces = !settings.gpu,
          .int8_head = settings.int8_head};
}

void measure_steps(const BenchSettings& settings, Findings& findings) {
  const std::string_view name = tensor::name_of(settings.dtype);
  const auto device = make_device(settings);
  const device::BenchReport report =
      device::bench_steps(*device, steps_of(settings), settings.dtype, settings.seconds_per_step);
  findings.peaks += fmt::format("{}\"{}\": {}", comma(findings.peaks), name, report.peak);
  findings.memories += fmt::format("{}\"{}\": {}", comma(findings.memories), name, report.memory);
  findings.text += fmt::format("{}, {} threads, {}: peak {:.1f} GFLOP/s, memory {:.1f} GB/s\n", name, settings.threads,
                               device->isa(), report.peak / 1e9, report.memory / 1e9);
  findings.text += fmt::format("  {:<22}{:>7}{:>12}{:>8}{:>10}{:>8}{:>9}{:>8}\n", "step", "calls", "ms a call", "share",
                               "GFLOP/s", "peak", "GB/s", "memory");
  for (const device::BenchRow& row : report.rows) {
    const double share = row.seconds * static_cast<double>(row.calls) / report.seconds();
    findings.text += fmt::format("  {:<22}{:>7}{:>12.4f}{:>7.1f}%{:>10}{:>8}{:>9.1f}{:>7.1f}%\n", row.step, row.calls,
                                 1e3 * row.seconds, 100 * share,
                                 row.flop > 0 ? fmt::format("{:.1f}", row.flop / row.seconds / 1e9) : "",
                                 row.flop > 0 ? fmt::format("{:.1f}%", 100 * row.peak_share) : "",
                                 row.bytes / row.seconds / 1e9, 100 * row.memory_share);
    findings.steps += fmt::format(
        R"({}{{"dtype": "{}", "step": "{}", "calls": {}, "seconds": {}, "flop": {}, "bytes": {}, "peak_fraction": {}, "memory_fraction": {}}})",
        comma(findings.steps), name, row.step, row.calls, row.seconds, row.flop, row.bytes, row.peak_share,
        row.memory_share);
  }
  findings.text += fmt::format("  all steps: {:.1f} tokens/s, {:.1f}% of peak\n",
                               static_cast<double>(settings.tokens_per_batch) / report.seconds(),
                               100 * report.flop() / report.seconds() / report.peak);
}

void measure_scoring(const BenchSettings& settings, Findings& findings) {
  const std::string_view name = tensor::name_of(settings.dtype);
  const ScoreSpeed speed = measure_score(settings);
  findings.text += fmt::format("  scoring: {:.1f} tokens/s, {:.1f}% of peak, products {:.1f}% of the time\n",
                               speed.tokens_per_second, 100 * speed.peak_fraction, 100 * speed.products_fraction);
  std::string shares, rest;
  for (const TimeShare& one : speed.time) {
    shares += fmt::format("{}\"{}\": {}", comma(shares), one.what, one.share);
    if (one.what != "products") rest += fmt::format("{}{} {:.1f}%", comma(rest), one.what, 100 * one.share);
  }
  findings.text += fmt::format("  the rest of the time: {}\n", rest);
  if (speed.use) findings.text += fmt::format("  GPU idle: {:.1f}% of the time\n", 100 * speed.use->idle_share());
  std::string gpu = speed.use ? fmt::format(R"(, "device_idle_share": {})", speed.use->idle_share()) : "";
  if (speed.joules_per_token) gpu += fmt::format(R"(, "joules_per_token": {})", *speed.joules_per_token);
  if (speed.utilisation) gpu += fmt::format(R"(, "utilisation": {})", *speed.utilisation);
  if (speed.allocated_peak > 0) gpu += fmt::format(R"(, "allocated_peak_bytes": {})", speed.allocated_peak);
  if (speed.joules_per_token) findings.text += fmt::format("  {:.2f} mJ a token\n", 1e3 * *speed.joules_per_token);
  findings.scores += fmt::format(
      R"({}{{"dtype": "{}", "tokens_per_second": {}, "products_fraction": {}, "peak_fraction": {}, "flops_per_second": {}, "peak": {}, "time_shares": {{{}}}{}}})",
      comma(findings.scores), name, speed.tokens_per_second, speed.products_fraction, speed.peak_fraction,
      speed.flops_per_second, speed.peak, shares, gpu);
}

base::Exit run(Arguments& arguments, schedule::World) {
  const BenchOptions options = read_options(arguments);
  if (!options.make_model.empty()) {
    model::make_model(base::real_files(), options.make_model, options.settings.shape);
    return base::Exit::ok;
  }
  Findings findings;
  for (const tensor::DType dtype : options.dtypes) {
    BenchSettings settings = options.settings;
    settings.dtype = dtype;
    measure_steps(settings, findings);
    if (options.score) measure_scoring(settings, findings);
  }
  const std::string out = options.json
                              ? fmt::format(R"({{"peak": {{{}}}, "memory": {{{}}}, "steps": [{}], "score": [{}]}})"
                                            "\n",
                                            findings.peaks, findings.memories, findings.steps, findings.scores)
                              : findings.text;
  std::fwrite(out.data(), 1, out.size(), stdout);
  return base::Exit::ok;
}

}  // namespace

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary = "how fast this machine computes, and models with random weights";
  command.usage = "bench [--shape NAME|FILE] [--dtype LIST] [--score] [--json]";
  command.text =
      "Measures the machine's peak and every step of a transformer of the given shape;\n"
      "with --score also scoring from end to end, on random weights, and where its\n"
      "time goes. --make-model writes such a model instead.";
  command.example = "thresher bench --shape llama-small --dtype bf16,f32 --score";
  command.groups = {
      {"What to measure",
       {{"shape", Arity::one, "NAME|FILE", "llama-1b, llama-8b, llama-small, tiny, or a config.json", "llama-1b"},
        {"dtype", Arity::one, "LIST", "bf16, f32, int8, or some with commas", "bf16"},
        {"int8-head", Arity::flag, "", "with int8: the LM head too", ""},
        {"score", Arity::flag, "", "also score from end to end", ""},
        {"json", Arity::flag, "", "print JSON", ""}}},
      {"How",
       {{"device", Arity::one, "NAME", "cpu or cuda", "cpu"},
        {"gpu", Arity::one, "N", "with --device cuda: which one, from 0", "0"},
        {"threads", Arity::one, "N", "threads", "cores"},
        {"tokens-per-batch", Arity::one, "N", "tokens of a batch", "2048; cuda: 16384"},
        {"document", Arity::one, "N", "tokens of each document, with --score", "512"},
        {"seconds", Arity::one, "S", "how long --score measures; a tenth of it for each step", "3"}}},
      {"Models with random weights",
       {{"make-model", Arity::one, "DIR", "write a model of this shape and dtype to a new directory", ""},
        {"architecture", Arity::one, "NAME", "llama, mistral, qwen2 or qwen3", "the shape's"},
        {"seed", Arity::one, "N", "other weights", "0"}}}};
  command.run = run;
  return command;
}

}  // namespace thresher::app
