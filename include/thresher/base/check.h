// Errors: every failure a user can see is an Error with an exit code and one message that says what, where and what to
// do.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace thresher::base {

// The process's exit codes: sysexits.h where one fits. Documented in jobs/README.md.
enum class Exit : int {
  ok = 0,
  failures = 1,        // finished, but more documents failed than --max-rejects allows
  usage = 64,          // wrong options
  data = 65,           // damaged or impossible content of a file
  no_input = 66,       // a file is missing or cannot be read
  unavailable = 69,    // this build or machine lacks something
  internal = 70,       // a bug, or a rank that hangs
  os = 71,             // memory, threads, descriptors
  cannot_create = 73,  // output cannot be created
  io = 74,             // reading or writing failed half-way, e.g. disk full
  again = 75,          // stopped early and committed: run me again
  permission = 77,
  config = 78  // options or files contradict each other or an earlier run
};

// Thrown for everything that ends the job; a document's own failure is a row, never an Error.
class Error : public std::runtime_error {
 public:
  Error(Exit code, const std::string& message, std::source_location where = std::source_location::current());

  Exit code() const noexcept { return code_; }
  // "src/model/config.cpp:42", for logs and bug reports; empty for a default std::source_location: no line of code is to
  // blame, or the message names it.
  const std::string& where() const noexcept { return where_; }

 private:
  Exit code_;
  std::string where_;
};

// Whatever is being handled, as an Error: to be called in a catch clause. What is none of the project's own is a bug,
// but for a lack of memory or threads.
Error current_error();

// Throws Error. Messages hold both numbers: what was found and what was expected.
[[noreturn]] void fail(Exit code, const std::string& message,
                       std::source_location where = std::source_location::current());

// Throws Error from errno's value: "what: No space left on device".
[[noreturn]] void fail_errno(Exit code, const std::string& what, int error_number,
                             std::source_location where = std::source_location::current());

}  // namespace thresher::base
