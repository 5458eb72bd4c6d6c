#include "app/help.h"

#include <fmt/format.h>

#include "app/commands/commands.h"

namespace thresher::app {
namespace {

constexpr std::string_view job_files = R"(Job files

Options may stand in a file, one 'name = value' a line, without dashes:

  # nightly.conf
  model = models/small
  corpus = new/*.jsonl.zst
  per-token = on
  threads = 8

and 'thresher score --job nightly.conf --output runs/monday' reads them. Lines
may be empty; '#' begins a comment, so no value can contain one. An option of
several values is repeated. The command line wins over the file. A name that
is unknown is an error. File names are relative to where thresher is started.
)";

constexpr std::string_view exit_codes = R"(Exit codes

   0  finished
   1  finished, but more documents failed than --max-rejects allows; diff: some
      documents differ
  64  wrong options
  65  damaged or impossible content of a file
  66  a file is missing or cannot be read
  69  this build or machine lacks something; status: a job is at work
  70  a bug in thresher, or a rank that hangs
  71  not enough memory, threads or file descriptors
  73  the output cannot be created
  74  reading or writing failed half-way, for example because the disk is full
  75  stopped early and saved: give the same command again
  77  permission denied
  78  options or files contradict each other or an earlier run

A rank that dies of signal N makes mpirun end with 128 + N, and a host that is
lost with 205: give the same command again.
)";

std::string overview() {
  std::string text = "thresher: scores text corpora with transformer language models, under MPI\n\nCommands\n";
  for (const Command& command : commands()) text += fmt::format("  {:<9}{}\n", command.name, command.summary);
  text += R"(
Help
  thresher help COMMAND      options and an example
  thresher help job-files    options from a file
  thresher help exit-codes   what the exit status means
  thresher --version

Example
  thresher import --input 'texts/*.txt' --output texts.h5
  mpirun -n 2 thresher score --model data/model --corpus texts.h5 \
    --output runs/texts
  thresher inspect runs/texts
)";
  return text;
}

std::string help_of(const Command& command) {
  return fmt::format("usage: thresher {}\n\n{}\n\n{}\nExample:\n  {}\n", command.usage, command.text,
                     describe_options(command), command.example);
}

std::vector<std::string> topics() {
  std::vector<std::string> names{"job-files", "exit-codes"};
  for (const Command& command : commands()) names.push_back(command.name);
  return names;
}

std::string suggestion(const std::string& name, std::span<const std::string> known) {
  const std::string near = nearest(name, known);
  return near.empty() ? "" : fmt::format("; did you mean '{}'?", near);
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> all{import_command(),  score_command(),  plan_command(), export_command(),
                                        inspect_command(), verify_command(), diff_command(), status_command(),
                                        bench_command(),   doctor_command()};
  return all;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : commands()) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

std::string help(const std::string& topic) {
  if (topic.empty()) return overview();
  if (topic == "job-files") return std::string(job_files);
  if (topic == "exit-codes") return std::string(exit_codes);
  if (const Command* command = find_command(topic)) return help_of(*command);
  base::fail(base::Exit::usage,
             fmt::format("no help about '{}'{}\nSee 'thresher --help'.", topic, suggestion(topic, topics())));
}

void fail_unknown_command(const std::string& name) {
  std::vector<std::string> names;
  for (const Command& command : commands()) names.push_back(command.name);
  base::fail(base::Exit::usage,
             fmt::format("unknown command '{}'{}\nSee 'thresher --help'.", name, suggestion(name, names)));
}

std::string version() {
  return "thresher " THRESHER_VERSION "\n";
}

}  // namespace thresher::app
