#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "app/commands/commands.h"
#include "thresher/base/file.h"
#include "thresher/base/json_depth.h"
#include "thresher/model/describe.h"
#include "thresher/store/document.h"
#include "thresher/store/export.h"

namespace thresher::app {
namespace {

constexpr std::int64_t summary_limit = std::int64_t{16} << 20;
constexpr std::int64_t summary_depth = 16;
constexpr std::int64_t least_tokens = 5;  // of a document among the most and least likely ones
constexpr std::size_t excerpt_bytes = 56;

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

// summary.json, one "name  value" line each; objects in it are indented.
void print_summary(const nlohmann::ordered_json& object, const std::string& indent) {
  for (const auto& [name, value] : object.items()) {
    if (value.is_object()) {
      print(fmt::format("{}{}\n", indent, name));
      print_summary(value, indent + "  ");
    } else {
      print(fmt::format("{}{:<20} {}\n", indent, name, value.is_string() ? value.get<std::string>() : value.dump()));
    }
  }
}

// The beginning of a document on one line, cut between characters.
std::string excerpt(std::string_view text) {
  std::string line;
  bool space = false;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= ' ' || c == 127) {
      space = !line.empty();
      continue;
    }
    if (line.size() >= excerpt_bytes && (static_cast<unsigned char>(c) & 0xC0) != 0x80) return line + " ...";
    if (space) line += ' ';
    space = false;
    line += c;
  }
  return line;
}

void print_extremes(const std::vector<store::Extreme>& extremes, const std::string& title, store::Source* corpus) {
  print(fmt::format("\n{}\n  {:>9}  {:>6}  {}\n", title, "logprob/token", "tokens", corpus ? "document" : "id"));
  for (const store::Extreme& extreme : extremes) {
    const std::string shown = corpus == nullptr ? extreme.id : excerpt(corpus->read(extreme.document, 1).text_of(0));
    print(fmt::format("  {:>13.3f}  {:>6}  {}\n", extreme.mean_logprob, extreme.tokens, shown));
  }
}

void inspect_run(const base::Path& directory, std::int64_t extremes, const std::string& corpus_file) {
  base::FileSystem& files = base::real_files();
  if (!files.exists(directory / "_SUCCESS")) {
    print("This run is not finished: give its command again to continue it.\n");
    return;
  }
  const base::Path summary = directory / "summary.json";
  const std::string text = base::read_all(files, summary, summary_limit);
  base::check_json_depth(text, summary_depth, summary.string());
  const nlohmann::ordered_json values = nlohmann::ordered_json::parse(text, nullptr, false);
  if (!values.is_object()) base::fail(base::Exit::data, fmt::format("{} is not a JSON object", summary.string()));
  print_summary(values, "");
  if (extremes == 0) return;
  const auto found = store::find_extremes(directory / "results.h5", extremes, least_tokens);
  const std::unique_ptr<store::Source> corpus = corpus_file.empty() ? nullptr : store::open_corpus(corpus_file);
  const bool has_text = corpus != nullptr && corpus->info().text_bytes > 0;
  print_extremes(found.most, "Most likely documents", has_text ? corpus.get() : nullptr);
  print_extremes(found.least, "Least likely documents", has_text ? corpus.get() : nullptr);
}

base::Exit run(Arguments& arguments, schedule::World) {
  arguments.require("FILE");
  if (arguments.texts("FILE").size() > 1) arguments.reject("one FILE at a time");
  const std::int64_t extremes = arguments.whole("extremes", 0, 1000).value_or(0);
  if (arguments.given("corpus") && extremes == 0) arguments.reject("--corpus is for the texts of --extremes N");
  const model::DescribeOptions options{.tensors = arguments.flag("tensors"), .digest = arguments.flag("digest")};
  arguments.finish();

  const base::Path path = arguments.text("FILE");
  base::FileSystem& files = base::real_files();
  if (files.exists(path / "plan.json")) {
    inspect_run(path, extremes, arguments.text("corpus"));
  } else if (std::filesystem::is_directory(path)) {
    print(model::describe_model(files, path, options));
  } else {
    print(store::describe_hdf5(path));
  }
  return base::Exit::ok;
}

}  // namespace

Command inspect_command() {
  Command command;
  command.name = "inspect";
  command.summary = "what a corpus, a run, a part or a model holds";
  command.usage = "inspect FILE [options]";
  command.text =
      "FILE is a corpus, a run directory, its results.h5, one of its parts, or a model\n"
      "directory.";
  command.example = "thresher inspect runs/one --extremes 10 --corpus corpus.h5";
  command.groups = {{"Options",
                     {{"extremes", Arity::one, "N", "the N most and N least likely documents, per token", "0"},
                      {"corpus", Arity::one, "FILE", "print the beginnings of their texts, not their ids", ""}}}};
  command.plain = "FILE";
  command.run = run;
  return command;
}

}  // namespace thresher::app
