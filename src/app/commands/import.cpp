#include "thresher/store/import.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/commands/commands.h"
#include "app/commands/intake.h"
#include "thresher/base/clock.h"
#include "thresher/base/cores.h"
#include "thresher/base/log.h"
#include "thresher/base/machine.h"
#include "thresher/engine/encode.h"
#include "thresher/schedule/import_job.h"
#include "thresher/text/tokenizer.h"

namespace thresher::app {
namespace {

// Token ids instead of text; `tokenizer` must outlive the options.
void encode_with(const text::Tokenizer& tokenizer, store::ImportOptions& options) {
  const bool pairs = !options.context_field.empty();
  options.tokenizer = tokenizer.fingerprint();
  options.vocabulary = tokenizer.vocabulary_size();
  options.encode = [&tokenizer, pairs](std::string_view text, std::int64_t& split, std::vector<std::uint32_t>& ids) {
    tokenizer.encode(text, false, ids);
    if (!pairs) return;
    std::vector<std::uint32_t> context;
    tokenizer.encode(text.substr(0, engine::trimmed_context(text, split)), false, context);
    split = static_cast<std::int64_t>(std::min(context.size(), ids.size()));
  };
}

// Collective. This rank's part of its machine's processors.
int threads_for(comm::Comm& comm) {
  const std::vector<std::string> hosts = comm.all_gather(base::host_name());
  return std::max(1, base::usable_cores() / static_cast<int>(std::ranges::count(hosts, base::host_name())));
}

void say(const store::ImportReport& report, const schedule::ImportJob& job, double seconds) {
  base::info(fmt::format("{}: {} documents, {} bytes of text, from {} files", job.output.string(), report.documents,
                         report.text_bytes, job.inputs.size()));
  base::info(fmt::format("{:.2f} s, {:.1f} MB/s", seconds, static_cast<double>(report.input_bytes) / 1e6 / seconds));
  if (report.rejected > 0 || report.duplicates > 0) {
    base::warn(fmt::format("{} bad documents (kept, with a status) and {} repeated ids: see {}", report.rejected,
                           report.duplicates, job.rejects.string()));
  }
}

base::Exit run(Arguments& arguments, schedule::World world) {
  arguments.require("input");
  arguments.require("output");
  schedule::ImportJob job;
  const std::vector<std::string> names = arguments.texts("input");
  job.options = read_intake(arguments, names);
  const auto threads = arguments.whole("threads", 1, 4096);
  job.output = arguments.text("output");
  job.rejects = arguments.given("rejects") ? base::Path(arguments.text("rejects"))
                                           : base::Path(job.output.string() + ".rejects.jsonl");
  arguments.finish();

  job.options.threads = threads ? static_cast<int>(*threads) : threads_for(world.comm);
  job.inputs = store::expand(names);
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (arguments.given("model")) {
    tokenizer = text::load_tokenizer(base::Path(arguments.text("model")) / "tokenizer.json");
    encode_with(*tokenizer, job.options);
  }
  const base::Stopwatch watch;
  const store::ImportReport report = schedule::import_corpus(job, world.comm);
  say(report, job, watch.seconds());
  return base::Exit::ok;
}

}  // namespace

Command import_command() {
  Command command;
  command.name = "import";
  command.summary = "text and JSONL files to an HDF5 corpus";
  command.usage = "import --input FILE... --output CORPUS.h5 [options]";
  command.text =
      "Reads files in the order given (globs sorted). Bad rows are kept with a status\n"
      "and listed with file, line and reason. Under mpirun the ranks share the files.";
  command.example = "thresher import --input 'books/*.jsonl.zst' --output books.h5";
  command.groups = {
      {"Input and output",
       {{"input", Arity::many, "FILE", "files and quoted globs; .gz and .zst are unpacked", ""},
        {"output", Arity::one, "CORPUS.h5", "the corpus; replaced when all is read", ""},
        {"rejects", Arity::one, "FILE", "list of bad rows and repeated ids", "CORPUS.h5.rejects.jsonl"},
        {"model", Arity::one, "DIR", "keep the token ids of this model's tokenizer.json, not text", ""},
        {"threads", Arity::one, "N", "threads of each rank", "cores / ranks"},
        {"job", Arity::one, "FILE", "more options, one 'name = value' a line; the command line wins", ""}}},
      intake_group()};
  command.plain = "input";
  command.parallel = true;
  command.run = run;
  return command;
}

}  // namespace thresher::app
