// comm_speed: how long exchanges between the ranks take, for reading, not for passing. Run it under mpirun.
#include <fmt/format.h>
#include <mpi.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "thresher/base/clock.h"
#include "thresher/comm/comm.h"
#include "thresher/comm/pipe.h"

namespace {

using namespace thresher;

// Median seconds of one call, over runs of `calls`.
double median_seconds(comm::Comm& world, int runs, int calls, const std::function<void()>& call) {
  std::vector<double> seconds;
  call();
  for (int run = 0; run < runs; ++run) {
    world.barrier();
    const base::Stopwatch stopwatch;
    for (int i = 0; i < calls; ++i) call();
    seconds.push_back(stopwatch.seconds() / calls);
  }
  std::ranges::sort(seconds);
  return seconds[seconds.size() / 2];
}

void print(const comm::Comm& world, const std::string& line) {
  if (world.rank() == 0) fmt::print("{}\n", line);
}

void measure_sums(comm::Comm& world) {
  if (!std::has_single_bit(static_cast<unsigned>(world.size()))) return;
  for (const std::size_t bytes : {64u, 4096u, 32768u, 65536u, 262144u, 1048576u, 8388608u}) {
    std::vector<float> values(bytes / sizeof(float)), mpi(values.size());
    const int calls = bytes <= 65536 ? 200 : 4;
    const double own = median_seconds(world, 11, calls, [&] { world.all_reduce(values); });
    const double other = median_seconds(world, 11, calls, [&] {
      MPI_Allreduce(values.data(), mpi.data(), static_cast<int>(values.size()), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    });
    print(world, fmt::format("all_reduce {:8} B: {:9.1f} us  {:5.2f} GB/s   (MPI_Allreduce {:9.1f} us)", bytes,
                             own * 1e6, static_cast<double>(bytes) / own / 1e9, other * 1e6));
  }
}

// From the first half of the ranks to the second, message after message.
void measure_pipes(comm::Comm& world) {
  const int half = world.size() / 2;
  if (world.rank() >= 2 * half) return;
  for (const std::size_t bytes : {4096u, 262144u, 1048576u, 8388608u}) {
    const int count = bytes < 100'000 ? 2000 : static_cast<int>(1'000'000'000 / bytes / 4);
    double seconds = 0, waited = 0;
    const auto group = world.split(0, world.rank());
    if (world.rank() < half) {
      const auto outlet = group->outlet(world.rank() + half, 0, bytes);
      const base::Stopwatch stopwatch;
      for (int i = 0; i < count; ++i) {
        outlet->buffer();
        outlet->send(bytes);
      }
      outlet->flush();
      seconds = stopwatch.seconds();
      waited = outlet->waited();
      group->barrier();
    } else {
      const auto inlet = group->inlet(world.rank() - half, 0, bytes);
      for (int i = 0; i < count; ++i) {
        inlet->receive();
        inlet->release();
      }
      group->barrier();
    }
    print(world, fmt::format("pipe {:8} B: {:8.1f} us a message, {:5.2f} GB/s, writer waited {:.0f} %", bytes,
                             seconds / count * 1e6, static_cast<double>(bytes) * count / seconds / 1e9,
                             100 * waited / seconds));
  }
}

// Both ends compute without calling the floor; what is left to wait afterwards is what did not move meanwhile.
void measure_overlap(comm::Comm& world) {
  if (world.size() != 2) return;
  constexpr std::size_t bytes = 8388608;
  const double compute = 0.03;
  const auto outlet = world.rank() == 0 ? world.outlet(1, 1, bytes) : nullptr;
  const auto inlet = world.rank() == 1 ? world.inlet(0, 1, bytes) : nullptr;
  constexpr int count = 20;
  volatile double sink = 0;
  for (int i = 0; i < count; ++i) {
    world.barrier();
    if (outlet) {
      outlet->buffer();
      outlet->send(bytes);
    }
    const base::Stopwatch stopwatch;
    while (stopwatch.seconds() < compute) {
      for (int k = 0; k < 1000; ++k) sink = sink + 1.0;
    }
    if (inlet) {
      inlet->receive();
      inlet->release();
    }
  }
  if (inlet) {
    fmt::print("8 MiB while both ranks compute {:.0f} ms: {:.2f} ms left to wait\n", compute * 1e3,
               inlet->waited() / count * 1e3);
  }
  world.barrier();
}

// What a rank spends while it waits for two seconds with a pipe open.
void measure_waiting(comm::Comm& world) {
  const auto inlet = world.inlet((world.rank() + 1) % world.size(), 2, 1 << 20);
  const auto outlet = world.outlet((world.rank() + world.size() - 1) % world.size(), 2, 1 << 20);
  world.barrier();
  const std::clock_t start = std::clock();
  if (world.rank() == 0) std::this_thread::sleep_for(std::chrono::seconds(2));
  world.barrier();
  const double share = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC / 2;
  for (const std::string& text : world.all_gather(fmt::format("{:.1f} %", 100 * share)))
    print(world, "processor time while waiting: " + text);
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  {
    const auto world = comm::mpi_comm();
    measure_sums(*world);
    if (world->size() > 1) {
      measure_pipes(*world);
      measure_overlap(*world);
      measure_waiting(*world);
    }
    std::vector<std::byte> bytes(64u << 20);
    const double seconds = median_seconds(*world, 3, 1, [&] { world->broadcast(bytes, 0); });
    print(*world, fmt::format("broadcast 64 MiB: {:.1f} ms, {:.2f} GB/s", seconds * 1e3,
                              static_cast<double>(bytes.size()) / seconds / 1e9));
  }
  MPI_Finalize();
}
