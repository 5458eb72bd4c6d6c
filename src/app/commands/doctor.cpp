#include "app/commands/doctor.h"

#include <fmt/format.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string_view>

#include "app/commands/commands.h"

namespace thresher::app {
namespace {

constexpr std::array<std::string_view, 3> health_names{"OK", "WARN", "FAIL"};

std::string_view name_of(Health health) {
  return health_names[static_cast<std::size_t>(health)];
}

int count_of(const Findings& findings, Health health) {
  int count = 0;
  for (const Finding& finding : findings.all()) count += finding.health == health;
  return count;
}

std::string findings_text(const Findings& findings) {
  std::string text;
  for (const Finding& finding : findings.all()) {
    text += fmt::format("{:<5} {:<9} {}\n", name_of(finding.health), finding.topic, finding.text);
    if (!finding.advice.empty()) text += fmt::format("{:<15} -> {}\n", "", finding.advice);
  }
  const int warnings = count_of(findings, Health::warn), failures = count_of(findings, Health::fail);
  return text + fmt::format("{}: {} warning{}, {} missing\n",
                            failures > 0   ? "FAIL"
                            : warnings > 0 ? "WARN"
                                           : "OK",
                            warnings, warnings == 1 ? "" : "s", failures);
}

std::string findings_json(const Findings& findings) {
  using Json = nlohmann::ordered_json;
  Json list = Json::array();
  for (const Finding& finding : findings.all()) {
    Json json{{"health", name_of(finding.health)}, {"topic", finding.topic}, {"text", finding.text}};
    if (!finding.advice.empty()) json["advice"] = finding.advice;
    list.push_back(std::move(json));
  }
  const Json json{{"warnings", count_of(findings, Health::warn)},
                  {"failures", count_of(findings, Health::fail)},
                  {"findings", std::move(list)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

base::Exit run(Arguments& arguments, schedule::World) {
  const bool json = arguments.flag("json");
  arguments.finish();
  Findings findings;
  std::signal(SIGXFSZ, SIG_IGN);  // a file above its limit is a finding, not the end
  // What runs in child processes comes first: nothing here has threads yet.
  check_mpi(findings);
  if (is_later_rank()) return base::Exit::ok;
  check_launchers(findings);
  check_gpus(findings);
  check_processors(findings);
  check_memory(findings);
  const std::string output = arguments.text("output");
  check_disk(findings, output.empty() ? "." : output);
  check_limits(findings);
  check_locale_and_clock(findings);
  if (arguments.given("model")) check_model(findings, arguments.text("model"));
  const std::string text = json ? findings_json(findings) : findings_text(findings);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return base::Exit::io;
  return count_of(findings, Health::fail) > 0 ? base::Exit::unavailable : base::Exit::ok;
}

}  // namespace

std::string bytes_text(std::int64_t bytes) {
  constexpr double mib = 1 << 20, gib = 1 << 30;
  const auto size = static_cast<double>(bytes);
  return size < gib ? fmt::format("{:.0f} MiB", size / mib) : fmt::format("{:.1f} GiB", size / gib);
}

Command doctor_command() {
  Command command;
  command.name = "doctor";
  command.summary = "whether this machine has what a run needs";
  command.usage = "doctor [--model DIR] [--output DIR] [--json]";
  command.text =
      "Tries MPI, the launcher, GPUs, processors, memory, the disk, limits and clock,\n"
      "and prints a line each: OK, WARN and what to do about it, or FAIL. Ends with 0,\n"
      "or with 69 when something is missing that every run needs. Under mpirun or srun\n"
      "it tries them too. Writes a few files in the directory of --output, or beside\n"
      "it where it does not exist yet, and removes them.";
  command.example = "srun --mpi=pmix -n 2 thresher doctor --output /scratch/runs";
  command.groups = {{"Options",
                     {{"model", Arity::one, "DIR", "look whether this model can be read and fits", ""},
                      {"output", Arity::one, "DIR", "where runs will be written", "."},
                      {"json", Arity::flag, "", "print JSON", ""}}}};
  command.run = run;
  return command;
}

}  // namespace thresher::app
