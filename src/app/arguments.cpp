#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "app/options.h"
#include "thresher/base/duration.h"

namespace thresher::app {
namespace {

// A number from the whole of `text`, whatever the locale says.
template <typename Number>
std::optional<Number> number_from(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Takes a suffix K, M or G off `text` and returns what it multiplies by.
std::int64_t take_suffix(std::string_view& text) {
  constexpr std::string_view suffixes = "KMG";
  const std::size_t at = text.empty() ? std::string_view::npos : suffixes.find(text.back());
  if (at == std::string_view::npos) return 1;
  text.remove_suffix(1);
  return std::int64_t{1} << (10 * (at + 1));
}

}  // namespace

std::string quoted(const std::string& word) {
  constexpr std::string_view plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=./,:@%+";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string result = "'";
  for (const char c : word) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result += c;
    }
  }
  return result + "'";
}

bool Arguments::flag(std::string_view name) {
  constexpr std::string_view names[] = {"on", "true", "yes", "1", "off", "false", "no", "0"};
  return choice(name, names).value_or(4) < 4;
}

std::string Arguments::text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() || found->second.empty() ? std::string() : found->second.front();
}

std::vector<std::string> Arguments::texts(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

std::optional<std::int64_t> Arguments::whole(std::string_view name, std::int64_t least, std::int64_t most, bool bytes) {
  const std::string given = text(name);
  if (given.empty()) return std::nullopt;
  std::string_view digits = given;
  const std::int64_t unit = bytes ? take_suffix(digits) : 1;
  const std::optional<std::int64_t> value = number_from<std::int64_t>(digits);
  std::int64_t product = 0;
  if (!value || __builtin_mul_overflow(*value, unit, &product) || product < least || product > most) {
    reject(fmt::format("--{} is '{}', but has to be a whole number from {} to {}", name, given, least, most));
    return std::nullopt;
  }
  return product;
}

std::optional<double> Arguments::real(std::string_view name, double least, double most) {
  const std::string given = text(name);
  if (given.empty()) return std::nullopt;
  const std::optional<double> value = number_from<double>(given);
  if (!value || !(*value >= least && *value <= most)) {
    reject(fmt::format("--{} is '{}', but has to be a number from {} to {}", name, given, least, most));
    return std::nullopt;
  }
  return value;
}

std::optional<double> Arguments::duration(std::string_view name) {
  const std::string given = text(name);
  if (given.empty()) return std::nullopt;
  const std::optional<double> value = base::parse_duration(given);
  if (!value)
    reject(fmt::format("--{} is '{}', but has to be a time like 5400, 90m, 1.5h, 1:30:00 or 2-12:00:00", name, given));
  return value;
}

std::optional<std::size_t> Arguments::choice(std::string_view name, std::span<const std::string_view> names) {
  const std::string given = text(name);
  if (given.empty()) return std::nullopt;
  const auto found = std::ranges::find(names, given);
  if (found == names.end()) {
    reject(fmt::format("--{} is '{}', but has to be one of: {}", name, given, fmt::join(names, ", ")));
    return std::nullopt;
  }
  return found - names.begin();
}

void Arguments::require(std::string_view name) {
  // An option without its value has been told already.
  if (!values_.contains(name)) reject(fmt::format("{}{} is missing", name == command_->plain ? "" : "--", name));
}

void Arguments::reject(const std::string& problem, base::Exit code) {
  problems_.push_back({code, problem});
}

void Arguments::finish() const {
  if (problems_.empty()) return;
  const bool alike = std::ranges::all_of(problems_, [&](const Problem& p) { return p.code == problems_[0].code; });
  const base::Exit code = alike ? problems_[0].code : base::Exit::usage;
  std::string message = problems_[0].text;
  if (problems_.size() > 1) {
    message = fmt::format("{} problems with the options", problems_.size());
    for (const Problem& problem : problems_) message += "\n  " + problem.text;
  }
  base::fail(code, fmt::format("{}\nSee 'thresher help {}'.", message, command_->name));
}

std::string Arguments::command_line() const {
  std::string line = "thresher " + command_->name;
  for (const std::string& word : words_) line += ' ' + quoted(word);
  return line;
}

std::vector<std::pair<std::string, std::string>> Arguments::resolved() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Group& group : command_->groups) {
    for (const Option& option : group.options) {
      const std::string value = fmt::format("{}", fmt::join(texts(option.name), " "));
      if (!value.empty() || !option.standard.empty())
        all.emplace_back(option.name, value.empty() ? option.standard : value);
    }
  }
  return all;
}

}  // namespace thresher::app
