// What a stream of the fake is to another library of the same process: NCCL's fake gets nothing but the stream.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

namespace thresher::device::fake {

// A stream's work, in order. `run` tells whether it is done; where not, it is asked again later.
struct Work {
  std::function<bool()> run = {};
  CUstream_st* after = nullptr;  // first that stream's work up to `place`
  std::int64_t place = 0;
  bool awaited = false;  // by other processes, that is: it is done soon even where nobody waits here
};

}  // namespace thresher::device::fake

struct CUstream_st {
  std::deque<thresher::device::fake::Work> work;
  std::int64_t given = 0, done = 0;
  int gpu = 0;
  void (*submit)(CUstream_st&, thresher::device::fake::Work) = nullptr;
  void (*expect_memory)(const void* first, std::int64_t bytes, const char* what) = nullptr;
};
