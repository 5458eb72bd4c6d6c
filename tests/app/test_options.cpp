#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <clocale>
#include <filesystem>
#include <fstream>

#include "app/help.h"
#include "app/options.h"

namespace app = thresher::app;
namespace base = thresher::base;

namespace {

// A small command with one option of each kind.
app::Command sample() {
  app::Command command;
  command.name = "sample";
  command.groups = {{"First",
                     {{"model", app::Arity::one, "DIR", "a directory", ""},
                      {"corpus", app::Arity::many, "FILE", "files", ""},
                      {"job", app::Arity::one, "FILE", "a job file", ""}}},
                    {"Second",
                     {{"count", app::Arity::one, "N", "a number", "7"},
                      {"share", app::Arity::one, "X", "another", ""},
                      {"kind", app::Arity::one, "NAME", "a choice", "red"},
                      {"quiet", app::Arity::flag, "", "says nothing", ""}}}};
  return command;
}

app::Arguments read(const app::Command& command, std::vector<std::string> words) {
  return app::parse(command, words);
}

// The message of `finish`, empty if all is well.
std::string problems(const app::Arguments& arguments) {
  try {
    arguments.finish();
  } catch (const base::Error& error) {
    return error.what();
  }
  return "";
}

bool holds(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class JobFile {
 public:
  explicit JobFile(const std::string& content)
      : path_(std::filesystem::temp_directory_path() / ("thresher-job-" + std::to_string(getpid()) + ".conf")) {
    std::ofstream(path_) << content;
  }
  ~JobFile() { std::filesystem::remove(path_); }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(values_of_every_kind) {
  const app::Command command = sample();
  auto arguments = read(command, {"--model", "a b", "--corpus", "x", "y", "--quiet", "--corpus=z", "--count", "12",
                                  "--share=0.25", "--kind", "blue"});
  constexpr std::string_view kinds[] = {"red", "blue"};
  BOOST_TEST(arguments.text("model") == "a b");
  BOOST_TEST((arguments.texts("corpus") == std::vector<std::string>{"x", "y", "z"}));
  BOOST_TEST(arguments.flag("quiet"));
  BOOST_TEST(arguments.whole("count", 1, 100).value() == 12);
  BOOST_TEST(arguments.real("share", 0, 1).value() == 0.25);
  BOOST_TEST(arguments.choice("kind", kinds).value() == 1u);
  BOOST_TEST(problems(arguments) == "");
  BOOST_TEST(arguments.command_line() ==
             "thresher sample --model 'a b' --corpus x y --quiet --corpus=z --count 12 --share=0.25 --kind blue");
}

BOOST_AUTO_TEST_CASE(nothing_given) {
  const app::Command command = sample();
  auto arguments = read(command, {});
  BOOST_TEST(!arguments.flag("quiet"));
  BOOST_TEST(!arguments.whole("count", 1, 100).has_value());
  BOOST_TEST(arguments.texts("corpus").empty());
  BOOST_TEST(problems(arguments) == "");
  const auto resolved = arguments.resolved();
  BOOST_TEST(resolved.size() == 2u);
  BOOST_TEST(resolved[0].first == "count");
  BOOST_TEST(resolved[0].second == "7");
}

BOOST_AUTO_TEST_CASE(all_problems_at_once) {
  const app::Command command = sample();
  auto arguments = read(
      command, {"--modell", "m", "--kind", "green", "--count", "0", "--count", "3", "stray", "--share", "--corpus"});
  constexpr std::string_view kinds[] = {"red", "blue"};
  arguments.require("model");
  arguments.choice("kind", kinds);
  arguments.whole("count", 1, 100);
  const std::string told = problems(arguments);
  BOOST_TEST(holds(told, "8 problems"), told);
  BOOST_TEST(holds(told, "unknown option '--modell'; did you mean '--model'?"), told);
  BOOST_TEST(holds(told, "--kind is 'green', but has to be one of: red, blue"), told);
  BOOST_TEST(holds(told, "--count is '0', but has to be a whole number from 1 to 100"), told);
  BOOST_TEST(holds(told, "option '--count' is given twice"), told);
  BOOST_TEST(holds(told, "unexpected argument 'stray'"), told);
  BOOST_TEST(holds(told, "option '--share' needs a value: X"), told);
  BOOST_TEST(holds(told, "option '--corpus' needs a value: FILE"), told);
  BOOST_TEST(holds(told, "--model is missing"), told);
  BOOST_TEST(holds(told, "thresher help sample"), told);
}

BOOST_AUTO_TEST_CASE(numbers_that_are_none) {
  const app::Command command = sample();
  for (const char* text : {"1x", " 1", "1.0", "0x10", "-1", "99999999999999999999", "1K", "", "101", "1,000"}) {
    auto arguments = read(command, {std::string("--count=") + text});
    arguments.whole("count", 0, 100);
    BOOST_TEST(problems(arguments) != "", text);
  }
  for (const char* text : {"nan", "inf", "0,5", "1.5", "-0.1", "0.5x"}) {
    auto arguments = read(command, {"--share", text});
    arguments.real("share", 0, 1);
    BOOST_TEST(problems(arguments) != "", text);
  }
  auto arguments = read(command, {"--count", "64K"});
  BOOST_TEST(arguments.whole("count", 0, 1 << 20, true).value() == 65536);
  auto too_much = read(command, {"--count", "9999999999999G"});
  too_much.whole("count", 0, INT64_MAX, true);
  BOOST_TEST(problems(too_much) != "");
}

BOOST_AUTO_TEST_CASE(numbers_in_any_locale) {
  const app::Command command = sample();
  for (const char* locale : {"de_DE.UTF-8", "tr_TR.UTF-8", "C.UTF-8"}) {
    std::setlocale(LC_ALL, locale);
    auto arguments = read(command, {"--share", "0.5", "--count", "12"});
    BOOST_TEST(arguments.real("share", 0, 1).value() == 0.5);
    BOOST_TEST(arguments.whole("count", 1, 100).value() == 12);
  }
  std::setlocale(LC_ALL, "C");
}

BOOST_AUTO_TEST_CASE(a_prefix_of_an_option_is_unknown) {
  const app::Command command = sample();
  const std::string told = problems(read(command, {"--mode", "m"}));
  BOOST_TEST(holds(told, "unknown option '--mode'; did you mean '--model'?"), told);
  BOOST_TEST(!holds(problems(read(command, {"--zzzzzz"})), "did you mean"));
}

BOOST_AUTO_TEST_CASE(job_file_and_command_line) {
  const app::Command command = sample();
  const JobFile file("# a comment\nmodel = of the file\ncount=3\n\ncorpus = a\ncorpus = b\nquiet = on\n");
  auto arguments = read(command, {"--job", file.path(), "--count", "5"});
  BOOST_TEST(arguments.text("model") == "of the file");
  BOOST_TEST(arguments.whole("count", 1, 100).value() == 5);
  BOOST_TEST((arguments.texts("corpus") == std::vector<std::string>{"a", "b"}));
  BOOST_TEST(arguments.flag("quiet"));
  BOOST_TEST(problems(arguments) == "");
}

BOOST_AUTO_TEST_CASE(flags_in_job_files) {
  const app::Command command = sample();
  const JobFile off("quiet = off\n");
  auto arguments = read(command, {"--job", off.path()});
  BOOST_TEST(!arguments.flag("quiet"));
  BOOST_TEST(problems(arguments) == "");
  const JobFile odd("quiet = perhaps\n");
  auto wrong = read(command, {"--job", odd.path()});
  wrong.flag("quiet");
  BOOST_TEST(holds(problems(wrong), "--quiet is 'perhaps'"));
}

BOOST_AUTO_TEST_CASE(problems_of_job_files_name_the_line) {
  const app::Command command = sample();
  const JobFile file("model = m\n\n  cuont = 3\n");
  BOOST_TEST(holds(problems(read(command, {"--job", file.path()})),
                   file.path() + ":3: unknown option '--cuont'; did you mean '--count'?"));
  const JobFile broken("model = m\nnonsense\n");
  BOOST_TEST(holds(problems(read(command, {"--job", broken.path()})), "nonsense"));
  try {
    read(command, {"--job", "/nonexistent/x.conf"});
    BOOST_FAIL("a missing job file was accepted");
  } catch (const base::Error& error) {
    BOOST_TEST((error.code() == base::Exit::no_input));
    BOOST_TEST(holds(error.what(), "/nonexistent/x.conf"));
  }
}

BOOST_AUTO_TEST_CASE(help_is_narrow_and_complete) {
  std::vector<std::string> topics{"", "job-files", "exit-codes"};
  for (const char* name : {"import", "score", "export", "inspect", "bench"}) {
    topics.push_back(name);
    BOOST_REQUIRE(app::find_command(name) != nullptr);
    BOOST_TEST(holds(app::help(""), name));
    BOOST_TEST(holds(app::help(name), "Example:"));
    for (const app::Group& group : app::find_command(name)->groups) {
      for (const app::Option& option : group.options) BOOST_TEST(holds(app::help(name), "--" + option.name));
    }
  }
  for (const std::string& topic : topics) {
    std::istringstream lines(app::help(topic));
    for (std::string line; std::getline(lines, line);) BOOST_TEST(line.size() < 80u, line);
  }
}

BOOST_AUTO_TEST_CASE(unknown_names_suggest_the_nearest) {
  BOOST_CHECK_EXCEPTION(app::fail_unknown_command("scoer"), base::Error, [](const base::Error& error) {
    return error.code() == base::Exit::usage && holds(error.what(), "did you mean 'score'?");
  });
  BOOST_CHECK_EXCEPTION(app::help("exitcodes"), base::Error,
                        [](const base::Error& error) { return holds(error.what(), "did you mean 'exit-codes'?"); });
}
