// The command line and the job file as named texts, and their checked conversion: every problem is collected and
// reported at once.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/schedule/job.h"

namespace thresher::app {

enum class Arity : std::uint8_t { flag, one, many };

struct Option {
  std::string name;  // without dashes
  Arity arity = Arity::one;
  std::string value;  // what the value is called in help: "FILE"
  std::string help;
  std::string standard;  // the value used when it is not given, as run.json and help print it; may be empty
};

struct Group {
  std::string title;
  std::vector<Option> options;
};

class Arguments;

// One command: what help prints about it, what it takes, and what it does.
struct Command {
  std::string name;
  std::string summary;  // one line
  std::string usage;    // after "thresher "
  std::string text;     // a paragraph or two, lines below 80 columns
  std::string example;
  std::vector<Group> groups;
  std::string plain;      // what arguments without a dash are, or the option they belong to; empty: there are none
  bool parallel = false;  // runs on the ranks of an MPI job
  bool stops = false;     // signals ask it to stop, and it does so by itself
  // Checks all options without touching a file's content and throws base::Error (usage, unavailable) with every
  // problem; then does the work. Collective where `parallel`.
  base::Exit (*run)(Arguments& arguments, schedule::World world) = nullptr;
};

// The options of one call. Accessors convert; what cannot be converted is remembered, and `finish` throws it all.
class Arguments {
 public:
  explicit Arguments(const Command& command) : command_(&command) {}

  bool given(std::string_view name) const { return values_.contains(name); }
  bool flag(std::string_view name);
  // The text of an option; empty if not given.
  std::string text(std::string_view name) const;
  std::vector<std::string> texts(std::string_view name) const;
  // Whole numbers within [least, most]. `bytes` allows a suffix K, M or G (powers of 1024).
  std::optional<std::int64_t> whole(std::string_view name, std::int64_t least, std::int64_t most, bool bytes = false);
  std::optional<double> real(std::string_view name, double least, double most);
  // Seconds, in the forms that base::parse_duration reads.
  std::optional<double> duration(std::string_view name);
  // Position of the value in `names`.
  std::optional<std::size_t> choice(std::string_view name, std::span<const std::string_view> names);

  void require(std::string_view name);
  // Adds a problem; one of another code than usage decides the exit code when it is the only kind.
  void reject(const std::string& problem, base::Exit code = base::Exit::usage);
  // Throws base::Error with every problem found, if any.
  void finish() const;

  // The command line as given, quoted for a shell.
  std::string command_line() const;
  // Every option that has a value, given or standard, in the order of the command's groups.
  std::vector<std::pair<std::string, std::string>> resolved() const;

 private:
  friend Arguments parse(const Command&, std::span<const std::string>);
  struct Problem {
    base::Exit code;
    std::string text;
  };
  const Command* command_;
  std::vector<std::string> words_;  // as given
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<Problem> problems_;
};

// Reads the arguments after the command's name, then the file of --job for what they leave open. Problems are kept for
// `finish`. Throws base::Error (no_input) when the job file cannot be read.
Arguments parse(const Command& command, std::span<const std::string> arguments);

// A word as a POSIX shell reads it back.
std::string quoted(const std::string& word);

// The known name nearest to a mistyped one, empty if none is near.
std::string nearest(std::string_view name, std::span<const std::string> known);

// The options of a command as help prints them, lines below 80 columns.
std::string describe_options(const Command& command);

}  // namespace thresher::app
