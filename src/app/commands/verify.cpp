#include "thresher/store/verify.h"

#include <fmt/format.h>

#include <cstdio>

#include "app/commands/commands.h"
#include "thresher/base/file.h"

namespace thresher::app {
namespace {

std::string plural(std::int64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string list_of(const store::Verification& found) {
  std::string text;
  for (const std::string& fault : found.faults) text += "\n  " + fault;
  const std::int64_t more = found.fault_count - static_cast<std::int64_t>(found.faults.size());
  if (more > 0) text += fmt::format("\n  ... and {} more", more);
  return text;
}

std::string good_news(const store::Verification& found) {
  const store::Totals& totals = found.totals;
  std::string text = fmt::format("OK: {}", plural(totals.documents, "document"));
  for (std::size_t status = 0; status < std::size(totals.by_status); ++status) {
    if (totals.by_status[status] > 0)
      text += fmt::format(", {} {}", totals.by_status[status], store::name_of(static_cast<store::Status>(status)));
  }
  text += fmt::format("; {} scored, log-probability {:.2f}; {}", plural(totals.tokens, "token"), totals.logprob,
                      plural(found.shards, "part"));
  if (found.tokens > 0) text += fmt::format(" with {}", plural(found.tokens, "row") + " of tokens");
  return text + (found.sharded ? ", sharded\n" : "\n");
}

base::Exit run(Arguments& arguments, schedule::World) {
  arguments.require("RUN_DIR");
  if (arguments.texts("RUN_DIR").size() > 1) arguments.reject("one RUN_DIR at a time");
  const std::int64_t faults = arguments.whole("faults", 1, 1'000'000).value_or(20);
  arguments.finish();

  const std::string directory = arguments.text("RUN_DIR");
  const store::Verification found = store::verify_run(base::real_files(), directory, static_cast<std::size_t>(faults));
  if (!found.finished) {
    const std::string damaged = found.fault_count == 0 ? "" : fmt::format("; and there is{}", list_of(found));
    base::fail(base::Exit::again, fmt::format("{} is not finished: {} of {} committed; give its score command again{}",
                                              directory, found.committed, plural(found.shards, "shard"), damaged));
  }
  if (found.fault_count > 0) {
    base::fail(base::Exit::data,
               fmt::format("{} has {}:{}\nRemove {}/_SUCCESS and give the score command again: it makes anew what is "
                           "missing or damaged",
                           directory, plural(found.fault_count, "fault"), list_of(found), directory));
  }
  const std::string text = good_news(found);
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0 ? base::Exit::ok
                                                                                                     : base::Exit::io;
}

}  // namespace

Command verify_command() {
  Command command;
  command.name = "verify";
  command.summary = "whether a finished run is complete and undamaged";
  command.usage = "verify RUN_DIR [--faults N]";
  command.text =
      "Checks every part's digest and place and whether its values can be (NaN, signs,\n"
      "tokens' sums), results.h5 against the parts row by row, rejects.jsonl, and the\n"
      "totals in summary.json and _SUCCESS. Prints OK and what there is, or names what\n"
      "is wrong and ends with 65. A run that is not finished ends with 75 and how much\n"
      "of it is there. Changes nothing.";
  command.example = "thresher verify runs/one";
  command.groups = {{"Options", {{"faults", Arity::one, "N", "name at most N of them", "20"}}}};
  command.plain = "RUN_DIR";
  command.run = run;
  return command;
}

}  // namespace thresher::app
