#include "thresher/store/export.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>

#include "app/commands/commands.h"
#include "thresher/base/file.h"

namespace thresher::app {
namespace {

// The reader of standard output has gone.
struct OutputClosed {};

void write_standard_output(std::string_view piece) {
  if (std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size()) return;
  if (errno == EPIPE) throw OutputClosed();
  base::fail_errno(base::Exit::io, "writing to standard output", errno);
}

void flush_standard_output() {
  if (std::fflush(stdout) != 0) {
    if (errno == EPIPE) throw OutputClosed();
    base::fail_errno(base::Exit::io, "writing to standard output", errno);
  }
}

void export_to_file(const base::Path& results, store::ExportFormat format, const base::Path& output) {
  base::FileSystem& files = base::real_files();
  base::Path partial = output;
  partial += ".partial";
  files.remove(partial);
  {
    const auto file = files.create(partial);
    std::int64_t written = 0;
    store::export_results(results, format, [&](std::string_view piece) {
      file->write_at(written, std::as_bytes(std::span(piece)));
      written += static_cast<std::int64_t>(piece.size());
    });
    file->sync();
  }
  files.rename(partial, output);
}

base::Exit run(Arguments& arguments, schedule::World) {
  constexpr std::string_view formats[] = {"jsonl", "csv"};
  arguments.require("RUN_DIR");
  arguments.require("to");
  if (arguments.texts("RUN_DIR").size() > 1) arguments.reject("one RUN_DIR at a time");
  const auto format = arguments.choice("to", formats);
  arguments.finish();

  base::Path results = arguments.text("RUN_DIR");
  if (std::filesystem::is_directory(results)) results /= "results.h5";
  const auto kind = format == 0 ? store::ExportFormat::jsonl : store::ExportFormat::csv;
  if (const std::string output = arguments.text("output"); !output.empty()) {
    export_to_file(results, kind, output);
    return base::Exit::ok;
  }
  try {
    store::export_results(results, kind, write_standard_output);
    flush_standard_output();
  } catch (const OutputClosed&) {
    return base::Exit::io;
  }
  return base::Exit::ok;
}

}  // namespace

Command export_command() {
  Command command;
  command.name = "export";
  command.summary = "results as JSONL or CSV";
  command.usage = "export RUN_DIR --to jsonl|csv [--output FILE]";
  command.text =
      "Writes one line a document, in input order: id, status, tokens, logprob, bytes,\n"
      "words; JSONL also holds the tokens of a run with --per-token.";
  command.example = "thresher export runs/one --to csv --output one.csv";
  command.groups = {{"Options",
                     {{"to", Arity::one, "FORMAT", "jsonl or csv", ""},
                      {"output", Arity::one, "FILE", "where to write", "standard output"}}}};
  command.plain = "RUN_DIR";
  command.run = run;
  return command;
}

}  // namespace thresher::app
