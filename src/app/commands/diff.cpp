#include "thresher/store/diff.h"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/commands/commands.h"
#include "thresher/base/file.h"

namespace thresher::app {
namespace {

using Json = nlohmann::ordered_json;
using store::Diff;
using store::Largest;

// The results of a run directory, or the file itself.
base::Path results_of(base::FileSystem& files, const base::Path& path) {
  if (files.entry(path) != base::Entry::directory && !std::filesystem::is_directory(path)) return path;
  if (!files.exists(path / "plan.json") && !files.exists(path / "results.h5"))
    base::fail(base::Exit::no_input, path.string() + " is not a run directory: it has no plan.json");
  if (!files.exists(path / "_SUCCESS"))
    base::fail(base::Exit::again, path.string() + " is not finished: give its score command again");
  return path / "results.h5";
}

std::string ids_text(std::string_view where, std::int64_t count, const std::vector<std::string>& ids) {
  if (count == 0) return "";
  std::string text = fmt::format("only in {}: {}: {}", where, count, fmt::join(ids, ", "));
  return text + (std::cmp_less(ids.size(), count) ? ", ...\n" : "\n");
}

std::string largest_text(std::string_view title, const Largest& largest) {
  if (largest.document < 0) return "";
  const std::string token = largest.token < 0 ? "" : fmt::format(", token {}", largest.token);
  return fmt::format("  {:<28} {:<10.4g} {} and {}, {}{}\n", title, largest.difference, largest.a, largest.b,
                     largest.id, token);
}

std::string value_text(const std::string& value) {
  return value.empty() ? "absent" : value;
}

std::string worst_text(const Diff& diff) {
  if (diff.worst.empty()) return "";
  std::string text = "\nThe documents that differ most\n";
  for (const store::DifferentDocument& document : diff.worst) {
    text += fmt::format("  {}: {}\n    A: {}, {} tokens, logprob {}\n    B: {}, {} tokens, logprob {}\n", document.id,
                        document.columns, store::name_of(document.status_a), document.tokens_a, document.logprob_a,
                        store::name_of(document.status_b), document.tokens_b, document.logprob_b);
  }
  return text;
}

std::string diff_text(const Diff& diff, double tolerance) {
  std::string text;
  for (const Diff::Value& value : diff.plan)
    text += fmt::format("plan: {} is {} in A, {} in B\n", value.name, value_text(value.a), value_text(value.b));
  for (const std::string& columns : diff.columns_of_one) text += fmt::format("column not compared: {}\n", columns);
  text += ids_text("A", diff.only_a, diff.only_a_ids) + ids_text("B", diff.only_b, diff.only_b_ids);
  const std::string within = tolerance > 0 ? fmt::format(" within {}", tolerance) : "";
  const std::string_view tokens = diff.tokens ? ", token by token" : "";
  if (diff.equal()) {
    text += fmt::format("EQUAL: {} documents{}{}\n", diff.matched, within, tokens);
  } else {
    text += fmt::format("DIFFERENT: {} of {} documents in both{}{}\n", diff.different, diff.matched, within, tokens);
  }
  for (const Diff::Count& count : diff.columns) text += fmt::format("  {:<28} {}\n", count.column, count.documents);
  const std::string largest =
      largest_text("logprob of a document", diff.absolute) + largest_text("the same, by its size", diff.relative) +
      largest_text("the same, by its tokens", diff.per_token) + largest_text("logprob of a token", diff.token);
  if (!largest.empty()) text += "\nThe largest differences\n" + largest;
  return text + worst_text(diff);
}

Json largest_json(const Largest& largest) {
  if (largest.document < 0) return {};
  Json json{{"difference", largest.difference}, {"id", largest.id}, {"document", largest.document}};
  if (largest.token >= 0) json["token"] = largest.token;
  json["a"] = largest.a;
  json["b"] = largest.b;
  return json;
}

Json worst_json(const Diff& diff) {
  Json list = Json::array();
  for (const store::DifferentDocument& document : diff.worst) {
    Json json{{"id", document.id}, {"columns", document.columns}};
    json["a"] = {{"document", document.in_a},
                 {"status", store::name_of(document.status_a)},
                 {"tokens", document.tokens_a},
                 {"logprob", document.logprob_a}};
    json["b"] = {{"document", document.in_b},
                 {"status", store::name_of(document.status_b)},
                 {"tokens", document.tokens_b},
                 {"logprob", document.logprob_b}};
    if (diff.tokens) json["largest_token"] = document.largest_token;
    list.push_back(std::move(json));
  }
  return list;
}

std::string diff_json(const Diff& diff, double tolerance) {
  Json json{{"equal", diff.equal()},
            {"tolerance", tolerance},
            {"documents", {{"a", diff.documents_a}, {"b", diff.documents_b}, {"both", diff.matched}}},
            {"different", diff.different}};
  json["only_a"] = {{"documents", diff.only_a}, {"ids", diff.only_a_ids}};
  json["only_b"] = {{"documents", diff.only_b}, {"ids", diff.only_b_ids}};
  json["columns"] = Json::object();
  for (const Diff::Count& count : diff.columns) json["columns"][count.column] = count.documents;
  json["tokens_compared"] = diff.tokens;
  json["columns_of_one"] = diff.columns_of_one;
  json["largest"] = {{"logprob", largest_json(diff.absolute)},
                     {"relative", largest_json(diff.relative)},
                     {"per_token", largest_json(diff.per_token)},
                     {"token", largest_json(diff.token)}};
  json["worst"] = worst_json(diff);
  json["plan"] = Json::object();
  const auto value = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  for (const Diff::Value& v : diff.plan) json["plan"][v.name] = {{"a", value(v.a)}, {"b", value(v.b)}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

base::Exit run(Arguments& arguments, schedule::World) {
  const std::vector<std::string> names = arguments.texts("RUN_DIR");
  if (names.size() != 2)
    arguments.reject(fmt::format("two run directories or results are compared, not {}", names.size()));
  store::DiffOptions options;
  options.tolerance = arguments.real("tolerance", 0, 1e9).value_or(options.tolerance);
  options.worst = arguments.whole("worst", 0, 100'000).value_or(options.worst);
  const bool json = arguments.flag("json");
  arguments.finish();

  base::FileSystem& files = base::real_files();
  const base::Path a = results_of(files, names[0]), b = results_of(files, names[1]);
  const Diff diff = store::diff_results(files, a, b, options);
  const std::string text = json ? diff_json(diff, options.tolerance) : diff_text(diff, options.tolerance);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    return base::Exit::io;
  return diff.equal() ? base::Exit::ok : base::Exit::failures;
}

}  // namespace

Command diff_command() {
  Command command;
  command.name = "diff";
  command.summary = "which documents differ between two runs, and how far";
  command.usage = "diff RUN_DIR RUN_DIR [options]";
  command.text =
      "Compares two finished runs, or their results.h5, document by document: status,\n"
      "tokens, bytes, words, log-probability, and all columns of tokens that both have.\n"
      "Documents are found by id; of an id that repeats, the first of A goes with the\n"
      "first of B, and so on. Two NaN are the same. Says what differs in the plans\n"
      "(dtype, device, window ...), which alone makes no run different. Ends with 0\n"
      "when no document differs, and with 1 when one does or is in one run only.";
  command.example = "thresher diff runs/one runs/two --tolerance 0.001";
  command.groups = {
      {"Options",
       {{"tolerance", Arity::one, "X",
         "how far log-probabilities may be apart: a token's, and a document's divided by its tokens. Above 0, ranks "
         "and top K are not compared",
         "0"},
        {"worst", Arity::one, "N", "name at most N documents of each kind", "10"},
        {"json", Arity::flag, "", "print JSON", ""}}}};
  command.plain = "RUN_DIR";
  command.run = run;
  return command;
}

}  // namespace thresher::app
