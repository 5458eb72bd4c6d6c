// Work that may hang, crash or print: done in a child process.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace thresher::app {

struct ChildEnd {
  bool in_time = false;
  int code = -1;       // exit status, or 128 + the signal's number
  std::string output;  // standard output and error together
  bool good() const { return in_time && code == 0; }
};

// `body` gives the exit status. After `seconds` the child and what it started are killed. This process must not have
// threads or MPI.
ChildEnd in_child(const std::function<int()>& body, double seconds);

// The same for a program that is looked for in PATH; status 127 where it is not found.
ChildEnd run_program(const std::vector<std::string>& words, double seconds);

}  // namespace thresher::app
