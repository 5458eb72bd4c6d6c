#include "store/records.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <new>
#include <utility>

#include "store/utf8.h"
#include "thresher/base/check.h"

namespace thresher::store {
namespace {

namespace dom = simdjson::dom;

constexpr std::int64_t token_limit = std::int64_t{16} << 20;
// The parser takes up to 24 bytes for a value, which may have 2 in the file; shorter lines cannot hold too many.
constexpr std::size_t any_values = std::size_t{8} << 20;
constexpr std::int64_t value_limit = std::int64_t{4} << 20;

// Calls `use(line, number)` for each line, without its end ("\n" or "\r\n").
template <class Use>
void for_each_line(std::string_view bytes, std::int64_t number, Use use) {
  for (std::size_t at = 0; at < bytes.size(); ++number) {
    const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
    std::string_view line = bytes.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    use(line, number);
    at = end + 1;
  }
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n\v\f") == std::string_view::npos;
}

std::string_view kind_of(dom::element value) {
  switch (value.type()) {
    case dom::element_type::ARRAY:
      return "an array";
    case dom::element_type::OBJECT:
      return "an object";
    case dom::element_type::STRING:
      return "a string";
    case dom::element_type::BOOL:
      return "true or false";
    case dom::element_type::NULL_VALUE:
      return "null";
    default:
      return "a number";
  }
}

// A field's text, or why there is none.
struct Field {
  std::string_view text;
  Intake intake = Intake::ok;
  std::string reason;
};

Field text_field(dom::object object, std::string_view name) {
  dom::element value;
  if (object.at_key(name).get(value) != simdjson::SUCCESS) {
    return {{}, Intake::missing_field, fmt::format("no field \"{}\"", name)};
  }
  std::string_view text;
  if (value.get(text) == simdjson::SUCCESS) return {text, Intake::ok, {}};
  return {{}, Intake::wrong_type, fmt::format("field \"{}\" is {}, expected a string", name, kind_of(value))};
}

// Strings and whole numbers; nothing, null and "" stand for the row's number.
Field id_field(dom::object object, std::string_view name, std::string& digits) {
  dom::element value;
  if (object.at_key(name).get(value) != simdjson::SUCCESS || value.is_null()) return {};
  std::int64_t signed_number = 0;
  std::uint64_t number = 0;
  std::string_view text;
  if (value.get(signed_number) == simdjson::SUCCESS) {
    digits = std::to_string(signed_number);
  } else if (value.get(number) == simdjson::SUCCESS) {
    digits = std::to_string(number);
  } else if (value.get(text) == simdjson::SUCCESS) {
    if (text.size() > longest_id) {
      return {{}, Intake::bad_id, fmt::format("id of {} bytes, at most {} are allowed", text.size(), longest_id)};
    }
    if (text.find('\0') != std::string_view::npos) return {{}, Intake::bad_id, "id with a NUL character"};
    return {text, Intake::ok, {}};
  } else {
    return {{},
            Intake::bad_id,
            fmt::format("field \"{}\" is {}, expected a string or a whole number", name, kind_of(value))};
  }
  return {digits, Intake::ok, {}};
}

// At least as many as there are values in a JSON text: commas, colons and brackets outside of strings.
std::int64_t count_values(std::string_view json) {
  std::int64_t count = 0;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (c == '"') {
      for (++at; at < json.size() && json[at] != '"'; ++at) at += json[at] == '\\';
      ++count;
    } else if (c == ',' || c == ':' || c == '[' || c == ']' || c == '{' || c == '}') {
      ++count;
    }
  }
  return count;
}

std::string utf8_reason(std::string_view text) {
  return fmt::format("invalid UTF-8 at byte {}", valid_prefix(text));
}

}  // namespace

struct RecordParser::Json {
  dom::parser parser;
  std::string digits, pair;
};

RecordParser::RecordParser(const ImportOptions& options) : options_(options), json_(std::make_unique<Json>()) {}
RecordParser::~RecordParser() = default;

Records RecordParser::parse(const Block& block) {
  records_ = {};
  records_.file = block.file;
  // A file is its own record, named after it; a name of more bytes than an id may have keeps its end.
  std::string name = options_.format == Format::files ? block.file->filename().string() : std::string();
  if (name.size() > longest_id) name = name.substr(name.size() - longest_id);
  if (valid_prefix(name) != name.size()) name.clear();
  if (block.intake != Intake::ok) {
    reject(name, block.intake, block.reason, block.line);
  } else {
    switch (options_.format) {
      case Format::jsonl:
        parse_jsonl(block);
        break;
      case Format::lines:
        parse_lines(block);
        break;
      case Format::paragraphs:
        parse_paragraphs(block);
        break;
      case Format::files:
        add(name, block.bytes, 0, block.line);
        break;
    }
  }
  return std::exchange(records_, {});
}

void RecordParser::parse_jsonl(const Block& block) {
  for_each_line(block.bytes, block.line, [&](std::string_view line, std::int64_t number) {
    if (is_blank(line)) return;
    if (static_cast<std::int64_t>(line.size()) > options_.line_limit) {
      return reject({}, Intake::too_long,
                    fmt::format("line of {} bytes, at most {} are allowed", line.size(), options_.line_limit), number);
    }
    if (line.size() > any_values && count_values(line) > value_limit) {
      return reject({}, Intake::too_long,
                    fmt::format("line of {} bytes with more than {} values in it", line.size(), value_limit), number);
    }
    parse_json(line, number);
  });
}

void RecordParser::parse_json(std::string_view line, std::int64_t number) {
  dom::element value;
  // Blocks are allocated with enough room behind them for the parser to read over the end.
  const simdjson::error_code error = json_->parser.parse(line.data(), line.size(), false).get(value);
  if (error == simdjson::MEMALLOC) throw std::bad_alloc();
  if (error == simdjson::UTF8_ERROR) return reject({}, Intake::invalid_utf8, utf8_reason(line), number);
  if (error == simdjson::STRING_ERROR &&
      (line.find("\\ud") != std::string_view::npos || line.find("\\uD") != std::string_view::npos)) {
    return reject({}, Intake::invalid_utf8,
                  "half of a surrogate pair (\\ud800 to \\udfff), which stands for no character", number);
  }
  if (error != simdjson::SUCCESS)
    return reject({}, Intake::not_json, fmt::format("not JSON: {}", simdjson::error_message(error)), number);
  dom::object object;
  if (value.get(object) != simdjson::SUCCESS) {
    return reject({}, Intake::wrong_type, fmt::format("the line is {}, expected an object", kind_of(value)), number);
  }
  const Field id = id_field(object, options_.id_field, json_->digits);
  if (id.intake != Intake::ok) return reject({}, id.intake, id.reason, number);
  if (options_.context_field.empty()) {
    const Field text = text_field(object, options_.text_field);
    if (text.intake != Intake::ok) return reject(id.text, text.intake, text.reason, number);
    return add(id.text, text.text, 0, number);
  }
  const Field context = text_field(object, options_.context_field);
  if (context.intake != Intake::ok) return reject(id.text, context.intake, context.reason, number);
  const Field continuation = text_field(object, options_.continuation_field);
  if (continuation.intake != Intake::ok) return reject(id.text, continuation.intake, continuation.reason, number);
  if (continuation.text.empty()) return reject(id.text, Intake::empty, "the continuation is empty", number);
  json_->pair.assign(context.text).append(continuation.text);
  add(id.text, json_->pair, static_cast<std::int64_t>(context.text.size()), number);
}

void RecordParser::parse_lines(const Block& block) {
  for_each_line(block.bytes, block.line, [&](std::string_view line, std::int64_t number) { add({}, line, 0, number); });
}

// Lines up to one that equals the separator, without the line ends around them.
void RecordParser::parse_paragraphs(const Block& block) {
  std::size_t begin = 0;
  std::int64_t first_line = block.line, number = block.line;
  const std::string_view bytes = block.bytes;
  for (std::size_t at = 0; at < bytes.size(); ++number) {
    const std::size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view line = bytes.substr(at, end - at);
    const std::size_t next = std::min(end + 1, bytes.size());
    if (line.substr(0, line.find_last_not_of(" \t\r\n\v\f") + 1) == options_.separator) {
      add_paragraph(bytes.substr(begin, at - begin), first_line);
      begin = next;
      first_line = number + 1;
    }
    at = end + 1;
  }
  add_paragraph(bytes.substr(std::min(begin, bytes.size())), first_line);
}

void RecordParser::add_paragraph(std::string_view text, std::int64_t line) {
  if (is_blank(text)) return;
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  if (text.find('\r') == std::string_view::npos) return add({}, text, 0, line);
  std::string plain;
  for_each_line(text, line, [&](std::string_view piece, std::int64_t) { plain.append(piece).append("\n"); });
  plain.pop_back();
  add({}, plain, 0, line);
}

void RecordParser::add(std::string_view id, std::string_view text, std::int64_t split, std::int64_t line) {
  const auto bytes = static_cast<std::int64_t>(text.size());
  if (text.empty()) return reject(id, Intake::empty, "no text", line);
  if (bytes > options_.document_limit) {
    return reject(id, Intake::too_long, fmt::format("{} bytes, at most {} are allowed", bytes, options_.document_limit),
                  line);
  }
  if (options_.format != Format::jsonl && valid_prefix(text) != text.size()) {
    return reject(id, Intake::invalid_utf8, utf8_reason(text), line);
  }
  if (options_.encode) {
    const std::string_view counted = text.substr(static_cast<std::size_t>(split));
    tokens_.clear();
    try {
      options_.encode(text, split, tokens_);
    } catch (const base::Error& error) {
      if (error.code() != base::Exit::data) throw;  // no fault of the document
      return reject(id, Intake::no_tokens, error.what(), line);
    }
    const auto count = static_cast<std::int64_t>(tokens_.size());
    if (count > token_limit) {
      return reject(id, Intake::too_long, fmt::format("{} tokens, at most {} are allowed", count, token_limit), line);
    }
    records_.tokens.insert(records_.tokens.end(), tokens_.begin(), tokens_.end());
    records_.lengths.push_back(count);
    records_.bytes.push_back(static_cast<std::int64_t>(counted.size()));
    records_.words.push_back(count_words(counted));
  } else {
    records_.text += text;
    records_.lengths.push_back(bytes);
  }
  records_.split.push_back(split);
  records_.status.push_back(Intake::ok);
  records_.text_bytes += bytes;
  add_id(id);
}

void RecordParser::reject(std::string_view id, Intake intake, std::string reason, std::int64_t line) {
  records_.notes.push_back({static_cast<std::int64_t>(records_.status.size()), line, std::move(reason)});
  records_.lengths.push_back(0);
  records_.split.push_back(0);
  if (options_.encode) {
    records_.bytes.push_back(0);
    records_.words.push_back(0);
  }
  records_.status.push_back(intake);
  add_id(id);
}

void RecordParser::add_id(std::string_view id) {
  records_.ids += id;
  records_.id_lengths.push_back(id.empty() ? -1 : static_cast<std::int32_t>(id.size()));
}

}  // namespace thresher::store
