#include "thresher/schedule/status.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "app/commands/commands.h"

namespace thresher::app {
namespace {

constexpr std::chrono::seconds between_looks{2};

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

base::Exit run(Arguments& arguments, schedule::World) {
  arguments.require("RUN_DIR");
  if (arguments.texts("RUN_DIR").size() > 1) arguments.reject("one RUN_DIR at a time");
  const bool json = arguments.flag("json"), watch = arguments.flag("watch");
  arguments.finish();

  const std::string directory = arguments.text("RUN_DIR");
  const bool terminal = isatty(STDOUT_FILENO) == 1;
  while (true) {
    const schedule::Look look = schedule::look_at(base::real_files(), directory);
    const std::string text = json ? schedule::look_json(look) : schedule::look_text(look, directory);
    if (!print((watch && terminal ? "\033[H\033[J" : "") + text)) return base::Exit::io;
    if (!watch || !look.at_work) return look.exit();
    std::this_thread::sleep_for(between_looks);
  }
}

}  // namespace

Command status_command() {
  Command command;
  command.name = "status";
  command.summary = "how far a run is, and whether its job lives";
  command.usage = "status RUN_DIR [--json] [--watch]";
  command.text =
      "Reads what the job writes every five seconds, and counts the parts. May be asked\n"
      "on any machine that sees the directory, and disturbs nothing. Ends with 0 when\n"
      "the run is finished, 69 while a job is at work on it, 75 when none is and the\n"
      "same score command would go on, or with the code of a failure that a restart\n"
      "does not cure.";
  command.example = "thresher status runs/one --watch";
  command.groups = {{"Options",
                     {{"json", Arity::flag, "", "print JSON", ""},
                      {"watch", Arity::flag, "", "again every two seconds, until the job is over", ""}}}};
  command.plain = "RUN_DIR";
  command.run = run;
  return command;
}

}  // namespace thresher::app
