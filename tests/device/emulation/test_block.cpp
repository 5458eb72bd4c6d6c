// The emulation itself: right kernels give the same numbers on every schedule, wrong ones are found.
#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <vector>

#include "device/cuda/kernels/common.cuh"
#include "device/emulation/schedules.h"

namespace thresher::device::cuda {
namespace {

using emulation::Settings;
using emulation::settings;
using emulation::with_schedules;

// Reverses `count` numbers through shared memory.
__global__ void reverse(const int* from, int* to, int count) {
  auto* room = reinterpret_cast<int*>(shared_memory());
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) room[i] = from[i];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) to[i] = room[count - 1 - i];
}

// Each round sums the threads' numbers; the room of one round is used again by the next one.
__global__ void rounds(int* totals, int count) {
  auto* room = reinterpret_cast<int*>(shared_memory());
  for (int round = 0; round < count; ++round) {
    room[threadIdx.x] = static_cast<int>(threadIdx.x) * (round + 1);
    __syncthreads();
    int total = 0;
    for (unsigned i = 0; i < blockDim.x; ++i) total += room[i];
    totals[round * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)] = total;
    __syncthreads();
  }
}

__global__ void rotate_in_warp(int* values) {
  auto* room = reinterpret_cast<int*>(shared_memory());
  room[threadIdx.x] = values[threadIdx.x];
  __syncwarp();
  const int next = room[(threadIdx.x + 1) % 32];
  values[threadIdx.x] = __shfl_sync(all_lanes, next, static_cast<int>(threadIdx.x) + 1);
}

__global__ void divergent(int* x) {
  if (threadIdx.x < 16) __syncthreads();
  x[threadIdx.x] = 1;
}
__global__ void two_barriers(int* x) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  x[threadIdx.x] = 1;
}
__global__ void half_a_warp(int* x) {
  if (threadIdx.x < 16) x[threadIdx.x] = __shfl_xor_sync(all_lanes, 1, 1);
}
__global__ void mixed_operations(int* x) {
  if (threadIdx.x < 16) {
    x[threadIdx.x] = __shfl_xor_sync(all_lanes, 1, 1);
  } else {
    x[threadIdx.x] = static_cast<int>(__ballot_sync(all_lanes, 1));
  }
}
__global__ void behind_the_end() {
  shared_memory()[64 + threadIdx.x] = 0;
}
__global__ void copies(const float* from, float* to, bool waits) {
  auto* room = reinterpret_cast<float*>(shared_memory());
  copy_async(room + 4 * threadIdx.x, from + 4 * threadIdx.x, threadIdx.x == 0 ? 8 : 16);
  copies_end();
  if (waits) copies_wait<0>();
  for (unsigned i = 0; i < 4; ++i) to[4 * threadIdx.x + i] = room[4 * threadIdx.x + i];
}

// Products of whole matrices from fragments that ldmatrix loads: c [16, 8] = a [16, 16] b [8, 16]^T.
template <bool transposed>
__global__ void multiply(const std::uint16_t* a, const std::uint16_t* b, float* c) {
  auto* room = reinterpret_cast<std::uint16_t*>(shared_memory());
  const unsigned lane = threadIdx.x;
  for (unsigned i = lane; i < 256; i += 32) room[i] = a[i];
  for (unsigned i = lane; i < 128; i += 32) room[256 + (transposed ? i % 16 * 8 + i / 16 : i)] = b[i];
  __syncwarp();
  std::uint32_t left[4], right[4];
  load_matrices<false>(left, room + (lane % 16) * 16 + lane / 16 * 8);
  const unsigned row = lane % 8, matrix = lane / 8 % 2;
  load_matrices<transposed>(right, room + 256 + (transposed ? (matrix * 8 + row) * 8 : row * 16 + matrix * 8));
  float sums[4] = {};
  mma_bf16(sums, left, right[0], right[1]);
  for (unsigned i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

bool reverses() {
  std::vector<int> from(100), to(100, -1);
  for (int i = 0; i < 100; ++i) from[static_cast<std::size_t>(i)] = i;
  launch("reverse", reverse, 1, 96, 400, nullptr, from.data(), to.data(), 100);
  for (int i = 0; i < 100; ++i)
    if (to[static_cast<std::size_t>(i)] != 99 - i) return false;
  return true;
}

bool sums_rounds() {
  std::vector<int> totals(3 * 128);
  launch("rounds", rounds, 1, 128, 512, nullptr, totals.data(), 3);
  for (std::size_t i = 0; i < totals.size(); ++i)
    if (totals[i] != 127 * 64 * static_cast<int>(i / 128 + 1)) return false;
  return true;
}

bool rotates() {
  std::vector<int> values(32);
  for (int i = 0; i < 32; ++i) values[static_cast<std::size_t>(i)] = i;
  launch("rotate", rotate_in_warp, 1, 32, 128, nullptr, values.data());
  for (int i = 0; i < 32; ++i)
    if (values[static_cast<std::size_t>(i)] != (i + 2) % 32) return false;
  return true;
}

struct Fixture {
  ~Fixture() { settings() = Settings{}; }
};

template <class Body>
void expect_fault(const std::string& words, Body body) {
  with_schedules([&] {
    BOOST_CHECK_EXCEPTION(body(), std::logic_error, [&](const std::logic_error& error) {
      const bool said = std::string(error.what()).find(words) != std::string::npos;
      if (!said) BOOST_TEST_MESSAGE(error.what());
      return said;
    });
  });
}

BOOST_FIXTURE_TEST_SUITE(block, Fixture)

BOOST_AUTO_TEST_CASE(right_kernels_are_right_on_every_schedule) {
  with_schedules([] {
    BOOST_TEST(reverses());
    BOOST_TEST(sums_rounds());
    BOOST_TEST(rotates());
  });
}

BOOST_AUTO_TEST_CASE(a_dropped_barrier_is_found) {
  for (const auto& [kernel, count] :
       {std::pair<bool (*)(), std::size_t>{reverses, 1}, {sums_rounds, 2}, {rotates, 1}}) {
    emulation::take_barriers();
    kernel();
    const auto barriers = emulation::take_barriers();
    BOOST_TEST(barriers.size() == count);
    for (const std::string& barrier : barriers) BOOST_TEST(emulation::is_needed(barrier, kernel), barrier);
  }
}

BOOST_AUTO_TEST_CASE(divergent_barriers_are_faults) {
  std::vector<int> x(64);
  expect_fault("has ended without the barrier", [&] { launch("divergent", divergent, 1, 64, 0, nullptr, x.data()); });
  expect_fault("threads are at barriers", [&] { launch("two", two_barriers, 1, 64, 0, nullptr, x.data()); });
  expect_fault("deadlock", [&] { launch("half", half_a_warp, 1, 32, 0, nullptr, x.data()); });
  expect_fault("lanes of one warp", [&] { launch("mixed", mixed_operations, 1, 32, 0, nullptr, x.data()); });
}

BOOST_AUTO_TEST_CASE(shared_memory_ends_where_the_launch_says) {
  expect_fault("behind its 64 bytes", [] { launch("behind", behind_the_end, 1, 32, 64, nullptr); });
  expect_fault("a launch of", [] { launch("large", behind_the_end, 1, 32, 300 << 10, nullptr); });
  expect_fault("a launch of", [] { launch("many", behind_the_end, 1, 1056, 64, nullptr); });
}

BOOST_AUTO_TEST_CASE(copies_arrive_when_they_are_waited_for) {
  alignas(16) float from[128], to[128];
  for (int i = 0; i < 128; ++i) from[i] = static_cast<float>(i);
  launch("copies", copies, 1, 32, 512, nullptr, from, to, true);
  for (int i = 0; i < 128; ++i) BOOST_TEST(to[i] == (i == 2 || i == 3 ? 0.0f : from[i]));
  settings().late_copies = false;
  launch("copies", copies, 1, 32, 512, nullptr, from, to, false);
  BOOST_TEST(to[9] == 9);
  settings().late_copies = true;
  BOOST_CHECK_THROW(launch("copies", copies, 1, 32, 512, nullptr, from, to, false), std::logic_error);
}

BOOST_AUTO_TEST_CASE(fragments_are_laid_out_as_ptx_says) {
  std::vector<std::uint16_t> a(256), b(128);
  for (unsigned i = 0; i < 256; ++i) a[i] = base::to_bf16(static_cast<float>(i * 37 % 101) - 50);
  for (unsigned i = 0; i < 128; ++i) b[i] = base::to_bf16(static_cast<float>(i * 53 % 89) - 44);
  for (const bool transposed : {false, true}) {
    std::vector<float> c(128);
    launch("multiply", transposed ? multiply<true> : multiply<false>, 1, 32, 1024, nullptr, a.data(), b.data(),
           c.data());
    for (unsigned r = 0; r < 16; ++r)
      for (unsigned column = 0; column < 8; ++column) {
        float sum = 0;  // of whole numbers below 2^24
        for (unsigned k = 0; k < 16; ++k) sum += base::from_bf16(a[r * 16 + k]) * base::from_bf16(b[column * 16 + k]);
        BOOST_TEST(c[r * 8 + column] == sum);
      }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
