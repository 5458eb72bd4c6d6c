#include <fmt/format.h>

#include <optional>

#include "app/commands/commands.h"
#include "app/commands/intake.h"
#include "thresher/device/cuda.h"
#include "thresher/schedule/job.h"

namespace thresher::app {
namespace {

constexpr std::int64_t most_tokens = std::int64_t{1} << 24;  // of a window or a batch

// The layout, if one is asked for; its product has to be the ranks.
std::optional<comm::Layout> read_layout(Arguments& arguments, int ranks) {
  const std::string text = arguments.text("layout");
  if (text.empty() || text == "auto") return std::nullopt;
  try {
    const comm::Layout layout = comm::Layout::parse(text);
    if (layout.ranks() == ranks) return layout;
    arguments.reject(fmt::format("--layout {} needs {} ranks, but {} run; start it with mpirun -n {}", text,
                                 layout.ranks(), ranks, layout.ranks()));
  } catch (const base::Error& error) {
    arguments.reject(error.what());
  }
  return std::nullopt;
}

// What this build or machine lacks is told before any work is done.
void check_cuda(Arguments& arguments) {
  try {
    device::gpus();
  } catch (const base::Error& error) {
    arguments.reject(fmt::format("--device cuda: {}", error.what()), error.code());
  }
}

void read_model_options(Arguments& arguments, schedule::Job& job) {
  constexpr std::string_view dtypes[] = {"bf16", "f32", "int8"};
  constexpr std::string_view devices[] = {"cpu", "cuda"};
  if (const auto dtype = arguments.choice("dtype", dtypes)) {
    constexpr tensor::DType named[] = {tensor::DType::bf16, tensor::DType::f32, tensor::DType::i8};
    job.dtype = named[*dtype];
  }
  job.device = static_cast<schedule::DeviceKind>(arguments.choice("device", devices).value_or(0));
  const bool cuda = job.device == schedule::DeviceKind::cuda;
  if (cuda && job.dtype == tensor::DType::i8)
    arguments.reject("--dtype int8 is for --device cpu; bf16 is what GPUs compute fastest in here");
  job.int8_head = arguments.flag("int8-head");
  if (job.int8_head && job.dtype != tensor::DType::i8) arguments.reject("--int8-head is for --dtype int8");
  job.share_gpus = arguments.flag("share-gpus");
  if (job.share_gpus && !cuda) arguments.reject("--share-gpus is for --device cuda");
  constexpr std::string_view transports[] = {"auto", "nccl", "host"};
  job.gpu_transport = static_cast<schedule::GpuTransport>(arguments.choice("gpu-transport", transports).value_or(0));
  if (arguments.given("gpu-transport") && !cuda) arguments.reject("--gpu-transport is for --device cuda");
  constexpr std::string_view pins[] = {"auto", "on", "off"};
  job.pin = static_cast<schedule::Pin>(arguments.choice("pin", pins).value_or(0));
  if (job.pin == schedule::Pin::on && cuda) arguments.reject("--pin on is for --device cpu");
  if (cuda) check_cuda(arguments);
  constexpr std::string_view streams[] = {"auto", "on", "off"};
  job.streaming = static_cast<model::Streaming>(arguments.choice("stream-layers", streams).value_or(0));
  if (job.streaming == model::Streaming::on && !cuda) arguments.reject("--stream-layers on is for --device cuda");
  constexpr std::string_view switches[] = {"on", "off"};
  constexpr std::string_view loads[] = {"auto", "each", "broadcast"};
  job.tp_exact = arguments.choice("tp-exact", switches).value_or(cuda ? 1 : 0) == 0;
  job.share_prefixes = arguments.choice("share-prefixes", switches).value_or(cuda ? 1 : 0) == 0;
  if (job.share_prefixes && cuda) arguments.reject("--share-prefixes on is for --device cpu; GPUs compute all of it");
  job.load = static_cast<schedule::LoadMode>(arguments.choice("load", loads).value_or(0));
  job.threads = static_cast<int>(arguments.whole("threads", 1, 4096).value_or(0));
  job.tokens_per_batch = arguments.whole("tokens-per-batch", 1, most_tokens).value_or(0);
}

void read_scoring_options(Arguments& arguments, schedule::Job& job) {
  constexpr std::string_view bos[] = {"auto", "always", "never"};
  constexpr std::string_view prefixes[] = {"none", "bos", "eos"};
  job.window = arguments.whole("window", 2, most_tokens).value_or(0);
  job.stride = arguments.whole("stride", 1, most_tokens).value_or(0);
  if (job.window > 0 && job.stride >= job.window) {
    arguments.reject(fmt::format("--stride {} has to be less than --window {}", job.stride, job.window));
  }
  job.bos = static_cast<schedule::Bos>(arguments.choice("bos", bos).value_or(0));
  job.prefix = static_cast<schedule::PrefixToken>(arguments.choice("prefix-token", prefixes).value_or(0));
  if (job.prefix != schedule::PrefixToken::none) {
    if (job.stride > 0) arguments.reject("--stride has no meaning with --prefix-token, whose windows do not overlap");
    if (job.bos != schedule::Bos::automatic) arguments.reject("--bos cannot be combined with --prefix-token");
  }
  job.top_k = static_cast<std::int32_t>(arguments.whole("top-k", 1, 1024).value_or(0));
  job.per_token = arguments.flag("per-token") || job.top_k > 0;
}

void read_run_options(Arguments& arguments, schedule::Job& job) {
  job.shard_documents = arguments.whole("shard-documents", 1, std::int64_t{1} << 32).value_or(job.shard_documents);
  job.shard_bytes = arguments.whole("shard-bytes", 1, std::int64_t{1} << 40, true).value_or(0);
  job.max_rejects = arguments.whole("max-rejects", 0, std::int64_t{1} << 62);
  job.progress_every = arguments.real("progress-every", 0.1, 86400).value_or(job.progress_every);
  job.max_time = arguments.duration("max-time");
  job.grace = arguments.duration("grace").value_or(job.grace);
  job.fresh = arguments.flag("fresh");
  constexpr std::string_view modes[] = {"auto", "gather", "sharded"};
  if (const auto mode = arguments.choice("output-mode", modes).value_or(0); mode > 0)
    job.output_mode = mode == 1 ? schedule::OutputMode::gather : schedule::OutputMode::sharded;
  job.watchdog = arguments.real("watchdog", 0, 86400).value_or(job.watchdog);
}

base::Exit run(Arguments& arguments, schedule::World world) {
  schedule::Job job;
  for (const char* name : {"model", "corpus", "output"}) arguments.require(name);
  job.model = arguments.text("model");
  job.corpus = arguments.texts("corpus");
  job.output = arguments.text("output");
  job.layout = read_layout(arguments, world.comm.size());
  read_model_options(arguments, job);
  read_scoring_options(arguments, job);
  read_run_options(arguments, job);
  job.import = read_intake(arguments, job.corpus);
  arguments.finish();
  job.import.threads = std::max(1, job.threads);
  job.options = arguments.resolved();
  job.command = arguments.command_line();
  return schedule::run_job(job, world);
}

}  // namespace

Command score_command() {
  Command command;
  command.name = "score";
  command.summary = "log-probabilities of every document of a corpus";
  command.usage = "score --model DIR --corpus FILE... --output RUN_DIR [options]";
  command.text =
      "Scores documents with a causal language model and writes RUN_DIR/results.h5,\n"
      "one row a document in input order, and summary.json. Under mpirun or srun the\n"
      "ranks share the work. An interrupted job continues when the same command is\n"
      "given again, with any number of ranks; the results are the same bytes.\n"
      "SIGTERM, SIGINT or SIGUSR1 stops it: shards under way are finished if --grace\n"
      "allows, what is done is committed, and it ends with 75. SIGUSR2 asks how it is.";
  command.example = "mpirun -n 2 thresher score --model data/model --corpus corpus.h5 \\\n    --output runs/one";
  command.groups = {
      {"Input and output",
       {{"model", Arity::one, "DIR", "Hugging Face directory: config.json, *.safetensors, tokenizer.json", ""},
        {"corpus", Arity::many, "FILE", "HDF5 corpus, or text and JSONL files and globs (imported first)", ""},
        {"output", Arity::one, "RUN_DIR", "directory of the run", ""},
        {"job", Arity::one, "FILE", "more options, one 'name = value' a line; the command line wins", ""},
        {"fresh", Arity::flag, "", "delete what an earlier run left in RUN_DIR", ""}}},
      {"Scoring",
       {{"window", Arity::one, "N", "tokens that the model sees at once, BOS included", "the model's positions"},
        {"stride", Arity::one, "N", "new tokens in each later window of a long document", "half a window"},
        {"bos", Arity::one, "WHEN", "BOS in front: auto (as the tokenizer does), always, never", "auto"},
        {"prefix-token", Arity::one, "NAME", "score the first token after none, bos or eos (rolling windows)", "none"},
        {"per-token", Arity::flag, "", "also write /token/...: id, logprob, rank, entropy", ""},
        {"top-k", Arity::one, "K", "also write the K likeliest tokens; implies --per-token", ""}}},
      intake_group(),
      {"Machine",
       {{"dtype", Arity::one, "NAME", "bf16, f32 or int8 (which measures its error)",
         "bf16, or f32 where the weights are"},
        {"int8-head", Arity::flag, "", "with --dtype int8: the LM head too, which otherwise stays bf16", ""},
        {"device", Arity::one, "NAME", "cpu or cuda: a GPU for each rank of a host", "cpu"},
        {"share-gpus", Arity::flag, "", "let several ranks compute on one GPU", ""},
        {"stream-layers", Arity::one, "WHEN", "from host memory: auto, where they do not fit; on: all; off", "auto"},
        {"gpu-transport", Arity::one, "HOW", "auto; nccl: GPU to GPU; host: through the hosts' memory", "auto"},
        {"layout", Arity::one, "AXES", "auto, or like dp=2,pp=2,tp=1: replicas, stages, shards", "auto"},
        {"tp-exact", Arity::one, "on|off", "the same bits for every tp; off is another job", "on; cuda: off"},
        {"share-prefixes", Arity::one, "on|off", "compute what documents begin with alike once; no bit changes",
         "on; cuda: off"},
        {"load", Arity::one, "HOW", "auto; each: every rank reads its part; broadcast: one does", "auto"},
        {"threads", Arity::one, "N", "threads of each rank", "cores / local ranks"},
        {"pin", Arity::one, "WHEN", "threads to cores: auto, where a job uses all of them; on, off", "auto"},
        {"tokens-per-batch", Arity::one, "N", "changes speed and memory, never results", "chosen"}}},
      {"Job",
       {{"shard-documents", Arity::one, "N", "documents committed at once, at most", "512"},
        {"shard-bytes", Arity::one, "N", "their bytes (K, M, G), at most", "corpus / 1024, 256K to 64M"},
        {"max-rejects", Arity::one, "N", "exit with 1 when more documents fail", ""},
        {"max-time", Arity::one, "T", "stop in time, all committed: 5400, 90m, 1:30:00", "what Slurm leaves"},
        {"grace", Arity::one, "T", "time from the first signal to the end: shards may use it", "20"},
        {"output-mode", Arity::one, "HOW", "gather: rank 0 writes; sharded: replicas do; auto", "auto"},
        {"watchdog", Arity::one, "S", "seconds a rank may be silent before the job ends; 0: any", "40"},
        {"progress-every", Arity::one, "S", "seconds between progress lines in a log", "30"}}}};
  command.parallel = true;
  command.stops = true;
  command.run = run;
  return command;
}

}  // namespace thresher::app
