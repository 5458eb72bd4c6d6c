#include "app/commands/intake.h"

#include <fmt/format.h>

namespace thresher::app {
namespace {

// What the names suggest, where they agree.
store::Format guess_for_all(Arguments& arguments, const std::vector<std::string>& inputs) {
  if (inputs.empty()) return store::Format::files;
  const store::Format first = store::guess_format(inputs.front());
  for (const std::string& input : inputs) {
    if (store::guess_format(input) != first) {
      arguments.reject(fmt::format("'{}' and '{}' look like different formats; give --format", inputs.front(), input));
      break;
    }
  }
  return first;
}

}  // namespace

Group intake_group() {
  return {"Reading text and JSONL files",
          {{"format", Arity::one, "NAME",
            "jsonl (one JSON object a line), lines, paragraphs or files (each is one document); also .gz and .zst",
            "by file name"},
           {"text-field", Arity::one, "NAME", "JSONL field with the text", "text"},
           {"id-field", Arity::one, "NAME", "JSONL field with the id", "id"},
           {"context-field", Arity::one, "NAME", "with --continuation-field: the documents are pairs", ""},
           {"continuation-field", Arity::one, "NAME", "only this field's text is scored, given the context", ""},
           {"separator", Arity::one, "LINE", "line that ends a paragraph ('%' in fortune files)", "an empty line"}}};
}

store::ImportOptions read_intake(Arguments& arguments, const std::vector<std::string>& inputs) {
  constexpr std::string_view formats[] = {"jsonl", "lines", "paragraphs", "files"};
  store::ImportOptions options;
  if (const auto format = arguments.choice("format", formats)) {
    options.format = store::format_of(formats[*format]);
  } else if (!arguments.given("format")) {
    options.format = arguments.given("separator") ? store::Format::paragraphs : guess_for_all(arguments, inputs);
  }
  if (arguments.given("text-field")) options.text_field = arguments.text("text-field");
  if (arguments.given("id-field")) options.id_field = arguments.text("id-field");
  options.context_field = arguments.text("context-field");
  options.continuation_field = arguments.text("continuation-field");
  if (options.context_field.empty() != options.continuation_field.empty()) {
    arguments.reject("--context-field and --continuation-field belong together; one is missing");
  }
  if (!options.context_field.empty() && arguments.given("text-field")) {
    arguments.reject("--text-field cannot be combined with --context-field and --continuation-field");
  }
  const bool jsonl = options.format == store::Format::jsonl;
  if (!options.context_field.empty() && arguments.given("format") && !jsonl) {
    arguments.reject("--context-field needs --format jsonl");
  }
  options.separator = arguments.text("separator");
  if (!options.separator.empty() && options.format != store::Format::paragraphs) {
    arguments.reject("--separator needs --format paragraphs");
  }
  return options;
}

}  // namespace thresher::app
