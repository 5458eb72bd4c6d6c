#include "app/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <fstream>
#include <sstream>

namespace thresher::app {
namespace {

namespace po = boost::program_options;

// Boost only splits words here: a value may be missing or repeated, so that all problems can be told together.
class Words : public po::value_semantic {
 public:
  Words(Arity arity, std::string name) : arity_(arity), name_(std::move(name)) {}
  std::string name() const override { return name_; }
  unsigned min_tokens() const override { return 0; }
  unsigned max_tokens() const override { return arity_ == Arity::flag ? 0 : arity_ == Arity::one ? 1 : 1u << 20; }
  bool is_composing() const override { return true; }
  bool is_required() const override { return false; }
  void parse(boost::any&, const std::vector<std::string>&, bool) const override {}
  bool apply_default(boost::any&) const override { return false; }
  void notify(const boost::any&) const override {}

 private:
  Arity arity_;
  std::string name_;
};

constexpr unsigned help_columns = 79;
constexpr std::size_t job_file_limit = std::size_t{1} << 20;  // bytes
constexpr std::size_t most_problems = 100;                    // that are told

void add(const Group& group, po::options_description& to) {
  for (const Option& option : group.options) {
    const std::string text = option.standard.empty() ? option.help : option.help + " [" + option.standard + "]";
    to.add_options()(option.name.c_str(), new Words(option.arity, option.value), text.c_str());  // `to` owns it
  }
}

po::options_description describe(const Command& command) {
  po::options_description all(help_columns, 50);
  for (const Group& group : command.groups) {
    po::options_description part(group.title, help_columns, 50);
    add(group, part);
    all.add(part);
  }
  return all;
}

std::vector<std::string> names_of(const Command& command) {
  std::vector<std::string> names;
  for (const Group& group : command.groups) {
    for (const Option& option : group.options) names.push_back(option.name);
  }
  return names;
}

const Option* find(const Command& command, std::string_view name) {
  for (const Group& group : command.groups) {
    for (const Option& option : group.options) {
      if (option.name == name) return &option;
    }
  }
  return nullptr;
}

std::string unknown_option(const Command& command, const std::string& name) {
  const std::string near = nearest(name, names_of(command));
  return fmt::format("unknown option '--{}'{}", name, near.empty() ? "" : fmt::format("; did you mean '--{}'?", near));
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// Where a key stands in a job file: "file:line".
std::string place_of(const std::string& content, const std::string& file, const std::string& key) {
  std::istringstream lines(content);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string::npos || line.compare(begin, key.size(), key) != 0) continue;
    const std::size_t after = line.find_first_not_of(" \t", begin + key.size());
    if (after != std::string::npos && line[after] == '=') return fmt::format("{}:{}", file, number);
  }
  return file;
}

struct Parsed {
  std::map<std::string, std::vector<std::string>, std::less<>> values;
  std::vector<std::string> problems;
};

// Sorts what Boost found into values and problems. `place` says where a key was found, for messages.
template <typename Place>
Parsed sort_out(const Command& command, const po::parsed_options& found, const Place& place) {
  Parsed parsed;
  bool after_unknown = false;  // a word after an unknown option is probably its value
  for (const po::option& word : found.options) {
    if (parsed.problems.size() == most_problems) {
      parsed.problems.push_back("... and perhaps more");
      break;
    }
    if (word.string_key.empty()) {
      if (after_unknown) {
        after_unknown = false;
      } else if (!command.plain.empty()) {
        auto& values = parsed.values[command.plain];
        values.insert(values.end(), word.value.begin(), word.value.end());
      } else {
        parsed.problems.push_back(fmt::format("unexpected argument '{}'", fmt::join(word.value, " ")));
      }
      continue;
    }
    const Option* option = find(command, word.string_key);
    after_unknown = option == nullptr;
    if (option == nullptr) {
      parsed.problems.push_back(place(word.string_key) + unknown_option(command, word.string_key));
      continue;
    }
    auto& values = parsed.values[option->name];
    if (option->arity != Arity::many && !values.empty()) {
      parsed.problems.push_back(fmt::format("{}option '--{}' is given twice", place(option->name), option->name));
    } else if (option->arity == Arity::flag) {
      values.push_back(word.value.empty() ? "on" : word.value.front());
    } else if (word.value.empty() || word.value.front().empty()) {
      parsed.problems.push_back(
          fmt::format("{}option '--{}' needs a value: {}", place(option->name), option->name, option->value));
    } else {
      values.insert(values.end(), word.value.begin(), word.value.end());
    }
  }
  return parsed;
}

Parsed parse_words(const Command& command, std::span<const std::string> arguments) {
  using namespace po::command_line_style;
  try {
    const po::options_description known = describe(command);
    const po::parsed_options found = po::command_line_parser({arguments.begin(), arguments.end()})
                                         .options(known)
                                         .style(allow_long | long_allow_adjacent | long_allow_next)
                                         .allow_unregistered()
                                         .run();
    return sort_out(command, found, [](const std::string&) { return std::string(); });
  } catch (const po::error& error) {
    return {{}, {error.what()}};
  }
}

Parsed parse_job_file(const Command& command, const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string content(job_file_limit + 1, '\0');
  stream.read(content.data(), static_cast<std::streamsize>(content.size()));
  content.resize(static_cast<std::size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
  // What was read before an error is not all that the file says.
  if (content.empty() || stream.bad()) {
    base::fail(base::Exit::no_input,
               fmt::format("job file '{}' cannot be read or is empty; give an existing file to --job", file));
  }
  if (content.size() > job_file_limit)
    base::fail(base::Exit::data, fmt::format("job file '{}' has more than {} bytes", file, job_file_limit));
  try {
    const po::options_description known = describe(command);
    std::istringstream lines(content);
    const po::parsed_options found = po::parse_config_file(lines, known, true);
    return sort_out(command, found, [&](const std::string& key) { return place_of(content, file, key) + ": "; });
  } catch (const po::error& error) {
    return {{}, {fmt::format("{}: {}", file, error.what())}};
  }
}

}  // namespace

Arguments parse(const Command& command, std::span<const std::string> arguments) {
  Arguments result(command);
  result.words_.assign(arguments.begin(), arguments.end());
  Parsed words = parse_words(command, arguments);
  result.values_ = std::move(words.values);
  for (const std::string& problem : words.problems) result.reject(problem);
  if (find(command, "job") != nullptr && result.given("job")) {
    Parsed file = parse_job_file(command, result.text("job"));
    file.values.erase("job");
    result.values_.merge(file.values);
    for (const std::string& problem : file.problems) result.reject(problem);
  }
  return result;
}

std::string nearest(std::string_view name, std::span<const std::string> known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < least && distance < name.size()) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::string describe_options(const Command& command) {
  std::ostringstream out;
  out.imbue(std::locale::classic());
  out << describe(command);
  std::string text;  // without Boost's empty first line and spaces at the ends of lines
  for (const char c : out.str()) {
    if (c == '\n') text.erase(text.find_last_not_of(' ') + 1);
    if (c != '\n' || !text.empty()) text += c;
  }
  return text;
}

}  // namespace thresher::app
