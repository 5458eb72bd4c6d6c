// CUDA's model of execution on one CPU thread: a block's threads are fibers that run until they wait for each other.
// What a schedule may not change is a kernel's result; what changes it is a missing barrier. Also found: barriers and
// warp operations that not all threads reach, writes behind the shared memory asked for, asynchronous copies that
// nobody waits for, shared memory read before it is written (it starts as NaN).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <source_location>
#include <string>

namespace thresher::device::emulation {

struct Extent {
  unsigned x = 1, y = 1, z = 1;
};

enum class Order : std::uint8_t {
  rising,   // a warp runs until it can go no further without the others, then the next one; blocks in order
  falling,  // the same from the last warp, lane and block on
  turns,    // every warp in turn goes to its next wait
  random    // warps and lanes shuffled again and again, sometimes a step, sometimes as far as it goes
};

struct Settings {
  Order order = Order::rising;
  unsigned seed = 1;
  bool late_copies = true;      // asynchronous copies arrive when they are waited for, or at once
  std::string dropped_barrier;  // "file.cuh:12": a barrier or wait that does nothing; for tests of the tests
};

// Of this thread's launches from now on.
Settings& settings();
// Places of all barriers and waits for copies that were reached since the last call, as `dropped_barrier` names them.
std::set<std::string> take_barriers();

struct Launch {
  std::string name;
  Extent grid;
  unsigned threads = 1;
  std::size_t shared_bytes = 0;
};

// Runs `body` for each thread of each block. Throws std::logic_error for faults of the kernel.
void run(const Launch& launch, const std::function<void()>& body);

// Takes launches on a stream, to be run in its order; none: they run at once, as do those without a stream.
using Streams = std::function<void(void* stream, std::function<void()> work)>;
Streams& streams();

// Of the fiber that asks.
const Extent& thread_index();
const Extent& block_index();
const Extent& block_extent();
const Extent& grid_extent();
unsigned lane();
unsigned char* shared_memory();

void block_barrier(const std::source_location& where);
void warp_barrier(unsigned mask, const std::source_location& where);

constexpr std::size_t slot_bytes = 64;
// Every lane of the mask gives up to slot_bytes and sees what the others gave: 32 slots, good until the next call.
const unsigned char* exchange(unsigned mask, const void* value, std::size_t bytes, const char* operation);

void copy_async(void* to, const void* from, std::size_t bytes, std::size_t zeros);
void copies_end();
void copies_wait(std::size_t groups, const std::source_location& where);

}  // namespace thresher::device::emulation
