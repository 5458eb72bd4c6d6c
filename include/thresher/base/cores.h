// The cores of this machine, and which of them threads run on.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace thresher::base {

// A core, as the numbers that the system gives its hardware threads; only those that this process may use.
using Core = std::vector<int>;
// In the machine's order: neighbours share caches and memory.
using Cores = std::vector<Core>;

// The cores this process may use: those of its affinity mask. On a machine that tells nothing of its cores, every
// hardware thread is one.
Cores cores_of_process();
// How many these are, or what the control group's quota is worth where that is less.
int usable_cores();
// The same for a machine described in hwloc's synthetic syntax ("package:2 core:4 pu:2") and the hardware threads in
// `allowed`, all if it is empty. Throws base::Error (usage) if this is no description.
Cores cores_of_machine(const std::string& description, std::span<const int> allowed = {});

// "0,8 1,9" for two cores of two hardware threads, and back.
std::string text_of(const Cores& cores);
Cores cores_from(std::string_view text);

// What one of several processes on a machine computes on.
struct CoreShare {
  Cores cores;            // at least one
  bool exclusive = true;  // no other of the processes has any of them in its share
};

// Process `me`'s share, where `lists` are the cores that each process of the machine may use. Processes that may use
// the same cores divide them, in order, into shares that differ by one core at most; where there are more processes
// than cores, several have the same one. Lists that overlap otherwise are divided by number, but are not exclusive.
CoreShare share_of(std::span<const Cores> lists, std::size_t me);

// This process, but for threads that are there already, runs on these cores from now on, and so does the calling
// thread; nothing happens if the system refuses or the list is empty.
void bind_to(const Cores& cores);

// The calling thread runs on one core while this lives (anywhere it may if `core` is empty). Threads it starts in the
// meantime would stay there: start them before.
class BoundThread {
 public:
  explicit BoundThread(const Core& core);
  ~BoundThread();
  BoundThread(const BoundThread&) = delete;
  BoundThread& operator=(const BoundThread&) = delete;

 private:
  Core before_;
};

}  // namespace thresher::base
