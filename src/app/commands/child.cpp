#include "app/commands/child.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>

#include "thresher/base/check.h"
#include "thresher/base/clock.h"

namespace thresher::app {
namespace {

constexpr int look_every = 50;  // milliseconds

[[noreturn]] void be_child(const std::function<int()>& body, int output) {
  setpgid(0, 0);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  int code = static_cast<int>(base::Exit::internal);
  try {
    code = body();
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
  }
  std::fflush(stdout);
  _exit(code);
}

// What lies in the pipe now. Not until its end: what the child started may live on and hold it.
void take(int input, std::string& text) {
  char bytes[4096];
  for (ssize_t count = 1; count > 0;) {
    count = read(input, bytes, sizeof bytes);
    if (count > 0) text.append(bytes, static_cast<std::size_t>(count));
  }
}

}  // namespace

ChildEnd in_child(const std::function<int()>& body, double seconds) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) base::fail_errno(base::Exit::os, "making a pipe", errno);
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child < 0) base::fail_errno(base::Exit::os, "starting a process", errno);
  if (child == 0) {
    fcntl(ends[1], F_SETFL, 0);
    be_child(body, ends[1]);
  }
  close(ends[1]);
  ChildEnd end;
  const base::Stopwatch watch;
  int status = 0;
  pid_t gone = 0;
  while (gone == 0 && watch.seconds() < seconds) {
    pollfd look{ends[0], POLLIN, 0};
    poll(&look, 1, look_every);
    take(ends[0], end.output);
    gone = waitpid(child, &status, WNOHANG);
    if ((look.revents & POLLIN) == 0 && gone == 0) usleep(look_every * 1000 / 10);
  }
  end.in_time = gone == child;
  if (!end.in_time) {
    kill(-child, SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
  }
  take(ends[0], end.output);
  close(ends[0]);
  end.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return end;
}

ChildEnd run_program(const std::vector<std::string>& words, double seconds) {
  return in_child(
      [&] {
        std::vector<char*> arguments;
        for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
        arguments.push_back(nullptr);
        execvp(arguments[0], arguments.data());
        return 127;
      },
      seconds);
}

}  // namespace thresher::app
