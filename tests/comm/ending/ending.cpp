// ending CASE: every rank ends its waits early, in the way CASE names, and then has to leave MPI within seconds.
// A process can be cancelled once, so every case is a process of its own. Prints what went wrong; exit code 0 if
// nothing.
#include <mpi.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "thresher/base/clock.h"
#include "thresher/comm/comm.h"
#include "thresher/comm/ending.h"
#include "thresher/comm/mailbox.h"
#include "thresher/comm/pipe.h"

namespace {

using namespace thresher;
using comm::Channel;

int failures = 0;

void expect(bool right, const std::string& what) {
  if (right) return;
  ++failures;
  std::fprintf(stderr, "ending: %s\n", what.c_str());
}

// Whether the call ends with cancel()'s reason.
void expect_cancelled(const std::string& what, const std::function<void()>& call) {
  try {
    call();
    expect(false, what + " returned");
  } catch (const base::Error& error) {
    expect(error.code() == base::Exit::again && std::strcmp(error.what(), "told to stop") == 0,
           what + " threw: " + error.what());
  }
}

class Canceller {
 public:
  explicit Canceller(int milliseconds)
      : thread_([milliseconds] {
          std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
          comm::cancel(base::Error(base::Exit::again, "told to stop"));
          comm::cancel(base::Error(base::Exit::internal, "a second reason"));
        }) {}

 private:
  std::jthread thread_;
};

void expect_all_later_waits_to_throw(comm::Comm& world, comm::Mailbox& mailbox) {
  std::vector<float> few(10);
  std::string text;
  expect_cancelled("a later barrier", [&] { world.barrier(); });
  expect_cancelled("a later all_reduce", [&] { world.all_reduce(few); });
  expect_cancelled("a later broadcast", [&] { world.broadcast(text, 0); });
  expect_cancelled("a later all_gather", [&] { world.all_gather(text); });
  expect_cancelled("a later split", [&] { world.split(0, 0); });
  expect_cancelled("a later take", [&] { mailbox.take(Channel::credit); });
}

// Sends that nobody takes, receives that nobody answers, and collective calls that others never enter.
void unmatched() {
  const auto world = comm::mpi_comm();
  const auto part = world->split(0, 0);
  const auto mailbox = comm::mpi_mailbox();
  const int next = (world->rank() + 1) % world->size();
  const auto unread = world->outlet(next, 1, 6'000'000);
  const auto unanswered = part->inlet(next, 2, 6'000'000);
  mailbox->post(next, Channel::lease, 1, std::string(8'000'000, 'x'));
  for (int i = 0; i < 2; ++i) {
    unread->buffer();
    unread->send(6'000'000);
  }
  const Canceller canceller(300);
  std::jthread reader([&] { expect_cancelled("receive", [&] { unanswered->receive(); }); });
  std::jthread writer([&] { expect_cancelled("buffer", [&] { unread->buffer(); }); });
  if (world->rank() == world->size() - 1) {
    expect_cancelled("take", [&] { mailbox->take(Channel::coordinator); });
  } else {
    std::vector<float> many(3'000'000);
    expect_cancelled("all_reduce", [&] { part->all_reduce(many); });
  }
  reader.join();
  expect_cancelled("flush of a pipe", [&] { unread->flush(); });
  expect_cancelled("flush of the mailbox", [&] { mailbox->flush(); });
  expect_all_later_waits_to_throw(*world, *mailbox);
}

// Everything is on its way when it ends, and memory goes at once.
void midway() {
  const auto world = comm::mpi_comm();
  const auto mailbox = comm::mpi_mailbox();
  const int next = (world->rank() + 1) % world->size(), before = (next + world->size() - 2) % world->size();
  const auto part = world->split(0, 0);
  const Canceller canceller(300 + 20 * world->rank());
  std::jthread pipes([&] {
    expect_cancelled("a running pipe", [&] {
      const auto outlet = world->outlet(next, 1, 5'000'000);
      const auto inlet = world->inlet(before, 1, 5'000'000);
      for (;;) {
        outlet->buffer();
        outlet->send(5'000'000);
        inlet->receive();
        inlet->release();
      }
    });
  });
  std::jthread letters([&] {
    expect_cancelled("running letters", [&] {
      for (;;) {
        mailbox->post(next, Channel::lease, 1, std::string(3'000'000, 'x'));
        mailbox->take(Channel::lease);
      }
    });
  });
  expect_cancelled("running sums", [&] {
    for (;;) {
      std::vector<float> many(4'000'000);
      part->all_reduce(many);
    }
  });
}

void alone() {
  const auto self = comm::self_comm();
  const auto mailbox = comm::self_mailbox();
  const auto outlet = self->outlet(0, 1, 100);
  const auto inlet = self->inlet(0, 2, 100);
  for (int i = 0; i < 2; ++i) {
    outlet->buffer();
    outlet->send(1);
  }
  const Canceller canceller(100);
  std::jthread reader([&] { expect_cancelled("receive", [&] { inlet->receive(); }); });
  std::jthread writer([&] { expect_cancelled("buffer", [&] { outlet->buffer(); }); });
  expect_cancelled("take", [&] { mailbox->take(Channel::lease); });
  expect_all_later_waits_to_throw(*self, *mailbox);
}

// One rank never gets to the end: the others are told so.
void lonely() {
  const auto world = comm::mpi_comm();
  const int last = world->size() - 1;
  const base::Stopwatch stopwatch;
  if (world->rank() != last) expect(!comm::all_leave(std::chrono::milliseconds(500)), "all_leave without all");
  if (world->rank() == last) std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  expect(stopwatch.seconds() < 3, "all_leave took " + std::to_string(stopwatch.seconds()) + " s");
  world->barrier();
}

}  // namespace

int main(int argc, char** argv) {
  const std::map<std::string, void (*)()> cases{
      {"unmatched", unmatched}, {"midway", midway}, {"alone", alone}, {"lonely", lonely}};
  const std::string name = argc == 2 ? argv[1] : "";
  if (!cases.contains(name)) return 64;
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  alarm(60);  // a hang ends the test with SIGALRM
  cases.at(name)();
  const base::Stopwatch stopwatch;
  if (name != "lonely") expect(comm::all_leave(std::chrono::seconds(5)), "not all ranks leave");
  MPI_Finalize();
  expect(stopwatch.seconds() < 5, "leaving took " + std::to_string(stopwatch.seconds()) + " s");
  return failures == 0 ? 0 : 1;
}
