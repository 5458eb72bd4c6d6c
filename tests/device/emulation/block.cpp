#include "device/emulation/block.h"

#include <algorithm>
#include <array>
#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>
#include <cstring>
#include <exception>
#include <memory>
#include <random>
#include <stdexcept>
#include <utility>
#include <vector>

#ifdef __SANITIZE_ADDRESS__
extern "C" {
void __sanitizer_start_switch_fiber(void** fake_stack_save, const void* bottom, std::size_t size);
void __sanitizer_finish_switch_fiber(void* fake_stack_save, const void** bottom_old, std::size_t* size_old);
}
#endif

namespace thresher::device::emulation {
namespace {

namespace context = boost::context;

constexpr std::size_t stack_bytes = 256 * 1024;
constexpr unsigned warp_lanes = 32;
constexpr unsigned char poison = 0xff;
constexpr std::size_t guard_bytes = 256;
// Of sm_90; sm_86 and sm_89 have 99 KiB, sm_80 163 KiB.
constexpr std::size_t most_shared_bytes = 227 * 1024;

enum class Wait : std::uint8_t { none, block, warp, done };

// Stacks with a guard page, kept for the next launch: mapping them takes longer than most blocks run.
class Stacks {
 public:
  ~Stacks() {
    for (context::stack_context& stack : free_) system_.deallocate(stack);
  }
  context::stack_context take() {
    if (free_.empty()) return system_.allocate();
    const context::stack_context stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void give(const context::stack_context& stack) { free_.push_back(stack); }

 private:
  context::protected_fixedsize_stack system_{stack_bytes};
  std::vector<context::stack_context> free_;
};
thread_local Stacks stacks;

// Where a stack lies, and what the address sanitizer keeps of it while another one is in use.
struct Ground {
  const void* bottom = nullptr;
  std::size_t size = 0;
  void* kept = nullptr;
};

// The address sanitizer has to know of every change of stacks: before it on the old one, after it on the new one.
void leave([[maybe_unused]] Ground& from, [[maybe_unused]] const Ground& to) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(&from.kept, to.bottom, to.size);
#endif
}
void arrive(const Ground& on) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(on.kept, nullptr, nullptr);
#else
  static_cast<void>(on);
#endif
}
void arrive_first([[maybe_unused]] Ground& from) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(nullptr, &from.bottom, &from.size);
#endif
}

// What Boost.Context asks for stacks.
struct KeptStack {
  Ground* ground;

  context::stack_context allocate() {
    const context::stack_context stack = stacks.take();
    *ground = {static_cast<char*>(stack.sp) - stack.size, stack.size, nullptr};
    return stack;
  }
  void deallocate(const context::stack_context& stack) { stacks.give(stack); }
};

// Where threads wait: a barrier's line, or an operation of a warp.
struct Place {
  const char* what;  // file or operation
  unsigned line = 0;

  bool operator==(const Place& other) const { return line == other.line && std::strcmp(what, other.what) == 0; }
  std::string name() const {
    if (line == 0) return what;
    const char* slash = std::strrchr(what, '/');
    return std::string(slash ? slash + 1 : what) + ":" + std::to_string(line);
  }
};

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes, zeros;
  std::uint64_t group;
};

struct Lane {
  Extent index;
  unsigned number = 0;
  context::fiber fiber, scheduler;
  Wait wait = Wait::none;
  Ground ground;
  unsigned mask = 0;
  Place where{"its start"};
  unsigned operations = 0;
  std::vector<Copy> copies;
  std::uint64_t group = 0;
};

struct Warp {
  std::array<std::array<unsigned char, slot_bytes * warp_lanes>, 2> slots;
};

class Block;
thread_local Block* block = nullptr;
thread_local Lane* current = nullptr;
thread_local Settings chosen;
thread_local std::vector<Place> barriers;

[[noreturn]] void fault(const std::string& what) {
  throw std::logic_error(what);
}

// Whether the barrier is there at all.
bool stands(const Place& place) {
  if (std::find(barriers.begin(), barriers.end(), place) == barriers.end()) barriers.push_back(place);
  return chosen.dropped_barrier.empty() || place.name() != chosen.dropped_barrier;
}

Place place_of(const std::source_location& where) {
  return {where.file_name(), where.line()};
}

void copy_now(const Copy& copy) {
  std::memcpy(copy.to, copy.from, copy.bytes);
  std::memset(static_cast<unsigned char*>(copy.to) + copy.bytes, 0, copy.zeros);
}

// All blocks of one launch, one after another, on the same fibers.
class Block {
 public:
  Block(const Launch& launch, const std::function<void()>& body)
      : launch_(launch),
        body_(body),
        lanes_(launch.threads),
        warps_((launch.threads + warp_lanes - 1) / warp_lanes),
        shared_(launch.shared_bytes + 2 * guard_bytes),
        random_(chosen.seed) {
    for (unsigned i = 0; i < launch.threads; ++i) {
      lanes_[i].number = i;
      lanes_[i].index = {i, 0, 0};
      lanes_[i].wait = Wait::done;
    }
    order_.resize(warps_.size());
    for (unsigned i = 0; i < order_.size(); ++i) order_[i] = chosen.order == Order::falling ? warps() - 1 - i : i;
    for (unsigned i = 0; i < warp_lanes; ++i) lane_order_[i] = chosen.order == Order::falling ? warp_lanes - 1 - i : i;
  }

  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();

  void run(const Extent& index);
  // Of the lane that runs: back to the scheduler until it is resumed.
  void yield(Lane& lane);

  const Launch& launch() const { return launch_; }
  const Extent& index() const { return index_; }
  // Aligned to 128, of no more than that.
  unsigned char* shared() {
    const auto address = reinterpret_cast<std::uintptr_t>(shared_.data());
    return shared_.data() + (128 - address % 128) % 128;
  }
  unsigned char* slots(unsigned warp, unsigned phase) { return warps_[warp].slots[phase].data(); }

 private:
  unsigned warps() const { return static_cast<unsigned>(warps_.size()); }
  void start();
  void run_lane(Lane& lane);
  void resume(Lane& lane);
  bool step(unsigned warp);
  bool release_warp(unsigned warp);
  bool release_block();
  [[noreturn]] void deadlock() const;
  std::string here() const {
    return launch_.name + ", block (" + std::to_string(index_.x) + ", " + std::to_string(index_.y) + ")";
  }

  const Launch& launch_;
  const std::function<void()>& body_;
  Extent index_;
  std::vector<Lane> lanes_;
  std::vector<Warp> warps_;
  std::vector<unsigned> order_;
  std::array<unsigned, warp_lanes> lane_order_{};
  std::vector<unsigned char> shared_;
  std::mt19937 random_;
  std::exception_ptr failure_;
  Ground ground_;  // the scheduler's
  bool ending_ = false;
};

// Lanes between two blocks end; those that wait somewhere are unwound.
Block::~Block() {
  ending_ = true;
  for (Lane& lane : lanes_) {
    if (!lane.fiber) continue;
    leave(ground_, lane.ground);
    if (lane.wait == Wait::done) {
      lane.fiber = std::move(lane.fiber).resume();
      arrive(ground_);
      continue;
    }
    lane.fiber = {};
    arrive(lane.ground);  // which nobody has left by `leave`
    leave(lane.ground, ground_);
    arrive(ground_);
  }
}

// The body of one fiber: block after block.
void Block::run_lane(Lane& lane) {
  while (!ending_) {
    try {
      body_();
      if (!lane.copies.empty()) fault("asynchronous copies that nobody waits for");
    } catch (const std::exception&) {
      if (!failure_) failure_ = std::current_exception();
    }
    lane.wait = Wait::done;
    lane.where = {"its end"};
    yield(lane);
  }
}

void Block::yield(Lane& lane) {
  leave(lane.ground, ground_);
  lane.scheduler = std::move(lane.scheduler).resume();
  arrive(lane.ground);
}

void Block::start() {
  std::fill(shared_.begin(), shared_.end(), poison);
  for (Warp& warp : warps_)
    for (auto& slots : warp.slots) slots.fill(poison);
  for (Lane& lane : lanes_) {
    lane.wait = Wait::none;
    lane.operations = 0;
    lane.group = 0;
    if (lane.fiber) continue;
    lane.fiber = context::fiber(std::allocator_arg, KeptStack{&lane.ground}, [this, &lane](context::fiber&& scheduler) {
      arrive_first(ground_);
      lane.scheduler = std::move(scheduler);
      run_lane(lane);
      leave(lane.ground, ground_);
      return std::move(lane.scheduler);
    });
  }
}

void Block::resume(Lane& lane) {
  current = &lane;
  leave(ground_, lane.ground);
  lane.fiber = std::move(lane.fiber).resume();
  arrive(ground_);
  if (failure_) {
    try {
      std::rethrow_exception(failure_);
    } catch (const std::exception& error) {
      fault(here() + ": " + error.what());
    }
  }
}

// Runs every lane of the warp to its next wait.
bool Block::step(unsigned warp) {
  if (chosen.order == Order::random) std::shuffle(lane_order_.begin(), lane_order_.end(), random_);
  bool any = false;
  for (const unsigned i : lane_order_) {
    const unsigned number = warp * warp_lanes + i;
    if (number >= lanes_.size() || lanes_[number].wait != Wait::none) continue;
    resume(lanes_[number]);
    any = true;
  }
  return release_warp(warp) || any;
}

// Lets lanes go on that all of their mask have joined.
bool Block::release_warp(unsigned warp) {
  const unsigned first = warp * warp_lanes;
  const unsigned last = std::min(first + warp_lanes, static_cast<unsigned>(lanes_.size()));
  for (unsigned i = first; i < last; ++i) {
    const Lane& lane = lanes_[i];
    if (lane.wait != Wait::warp) continue;
    bool all = true;
    for (unsigned bit = 0; bit < warp_lanes && all; ++bit)
      if (lane.mask >> bit & 1) all = first + bit < last && lanes_[first + bit].wait == Wait::warp;
    if (!all) continue;
    const unsigned mask = lane.mask;
    const Place where = lane.where;
    for (unsigned bit = 0; bit < warp_lanes; ++bit) {
      if (!(mask >> bit & 1)) continue;
      Lane& other = lanes_[first + bit];
      if (other.mask != mask || other.where != where)
        fault(here() + ": lanes of one warp are at " + where.name() + " and at " + other.where.name());
      other.wait = Wait::none;
    }
    return true;
  }
  return false;
}

// When all threads are at one barrier. Which of two barriers a thread is at, or that it has ended, is no concern of the
// hardware's, but of whoever wrote the kernel.
bool Block::release_block() {
  bool any = false;
  for (const Lane& lane : lanes_) {
    if (lane.wait == Wait::warp || lane.wait == Wait::none) return false;
    any = any || lane.wait == Wait::block;
  }
  if (!any) return false;
  const Place where =
      std::find_if(lanes_.begin(), lanes_.end(), [](const Lane& l) { return l.wait == Wait::block; })->where;
  for (Lane& lane : lanes_) {
    if (lane.wait == Wait::done) fault(here() + ": a thread has ended without the barrier of others, " + where.name());
    if (lane.where != where) fault(here() + ": threads are at barriers " + where.name() + " and " + lane.where.name());
    lane.wait = Wait::none;
  }
  return true;
}

void Block::deadlock() const {
  const Lane& one = *std::find_if(lanes_.begin(), lanes_.end(), [](const Lane& l) { return l.wait != Wait::done; });
  const auto other = std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& l) { return l.where != one.where; });
  fault(here() + ": deadlock, thread " + std::to_string(one.number) + " waits at " + one.where.name() +
        (other == lanes_.end() ? "" : ", thread " + std::to_string(other->number) + " is at " + other->where.name()));
}

void Block::run(const Extent& index) {
  index_ = index;
  start();
  const auto done = [&] {
    return std::all_of(lanes_.begin(), lanes_.end(), [](const Lane& lane) { return lane.wait == Wait::done; });
  };
  while (!done()) {
    if (chosen.order == Order::random) std::shuffle(order_.begin(), order_.end(), random_);
    bool any = false;
    for (const unsigned warp : order_) {
      const bool far = chosen.order == Order::random ? random_() % 2 == 0 : chosen.order != Order::turns;
      while (step(warp)) {
        any = true;
        if (!far) break;
      }
    }
    if (!any && !release_block()) deadlock();
  }
  const unsigned char* end = shared() + launch_.shared_bytes;
  if (std::any_of(end, end + guard_bytes / 2, [](unsigned char byte) { return byte != poison; }))
    fault(here() + ": writes behind its " + std::to_string(launch_.shared_bytes) + " bytes of shared memory");
}

void wait_for_warp(unsigned mask, const Place& where) {
  if (!(mask >> lane() & 1)) fault(where.name() + ": a lane outside of its own mask");
  current->wait = Wait::warp;
  current->mask = mask;
  current->where = where;
  block->yield(*current);
}

}  // namespace

Streams& streams() {
  static Streams given;
  return given;
}

Settings& settings() {
  return chosen;
}

std::set<std::string> take_barriers() {
  std::set<std::string> names;
  for (const Place& place : std::exchange(barriers, {})) names.insert(place.name());
  return names;
}

void run(const Launch& launch, const std::function<void()>& body) {
  const auto& [name, grid, threads, bytes] = launch;
  if (threads == 0 || threads > 1024 || bytes > most_shared_bytes || grid.x == 0 || grid.y == 0 || grid.y > 65535 ||
      grid.x > 0x7fffffffu || grid.z != 1)
    fault(name + ": a launch of " + std::to_string(grid.x) + " x " + std::to_string(grid.y) + " blocks of " +
          std::to_string(threads) + " threads with " + std::to_string(bytes) + " bytes of shared memory");
  Block one(launch, body);
  std::vector<Extent> blocks;
  for (unsigned y = 0; y < grid.y; ++y)
    for (unsigned x = 0; x < grid.x; ++x) blocks.push_back({x, y, 0});
  if (chosen.order == Order::falling) std::reverse(blocks.begin(), blocks.end());
  if (chosen.order == Order::random) std::shuffle(blocks.begin(), blocks.end(), std::mt19937(chosen.seed));
  Block* const outer = std::exchange(block, &one);
  const auto restore = [&](void*) { block = outer; };
  const std::unique_ptr<void, decltype(restore)> guard(&one, restore);
  for (const Extent& index : blocks) one.run(index);
}

const Extent& thread_index() {
  return current->index;
}
const Extent& block_index() {
  return block->index();
}
const Extent& grid_extent() {
  return block->launch().grid;
}
const Extent& block_extent() {
  thread_local Extent extent;
  extent = {block->launch().threads, 1, 1};
  return extent;
}
unsigned lane() {
  return current->number % warp_lanes;
}
unsigned char* shared_memory() {
  return block->shared();
}

void block_barrier(const std::source_location& where) {
  const Place place = place_of(where);
  if (!stands(place)) return;
  current->wait = Wait::block;
  current->where = place;
  block->yield(*current);
}

void warp_barrier(unsigned mask, const std::source_location& where) {
  const Place place = place_of(where);
  if (stands(place)) wait_for_warp(mask, place);
}

// Two sets of slots in turn: a lane that is ahead by one operation does not overwrite what the others still read.
const unsigned char* exchange(unsigned mask, const void* value, std::size_t bytes, const char* operation) {
  unsigned char* slots = block->slots(current->number / warp_lanes, current->operations++ % 2);
  std::memcpy(slots + slot_bytes * lane(), value, bytes);
  wait_for_warp(mask, {operation});
  return slots;
}

void copy_async(void* to, const void* from, std::size_t bytes, std::size_t zeros) {
  const Copy copy{to, from, bytes, zeros, current->group};
  if (chosen.late_copies) {
    current->copies.push_back(copy);
  } else {
    copy_now(copy);
  }
}

void copies_end() {
  ++current->group;
}

void copies_wait(std::size_t groups, const std::source_location& where) {
  if (!stands(place_of(where))) return;
  auto& copies = current->copies;
  const auto rest = std::find_if(copies.begin(), copies.end(),
                                 [&](const Copy& copy) { return copy.group + groups >= current->group; });
  std::for_each(copies.begin(), rest, copy_now);
  copies.erase(copies.begin(), rest);
}

}  // namespace thresher::device::emulation
