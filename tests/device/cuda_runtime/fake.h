// CUDA's runtime and cuBLASLt as far as src/device/cuda/runtime calls them, in host memory: the whole CUDA device runs
// in a test without a GPU, with the kernels by the emulation. Calls are checked as strictly as we know the real ones to
// be.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace thresher::device::fake {

struct Settings {
  // Work on a stream is done as late as somebody's wait allows; else at once.
  bool late = true;
  // Only work on the stream that was made first waits so; the others' is done as early as it may be.
  bool others_early = false;
  // cuBLASLt's list holds no algorithm whose bits are the same for any number of rows.
  bool unsteady = false;
  // It adds a bias of f32 to results of bf16.
  bool bias_to_bf16 = true;
  std::int64_t memory = std::int64_t{4} << 30;  // of the GPU
  // Of products of 8192 rows, by kind of algorithm: in pieces, for many rows only, unsteady, steady, steady with other
  // bits, steady with the bits of the one before that. THRESHER_FAKE_MILLISECONDS in the environment comes first.
  std::string milliseconds = "10 10 10 80 40 60";
  // The kind that cuBLASLt's list begins with, where it is not the usual one. THRESHER_FAKE_FIRST comes first.
  int first = -1;
  int driver = 13000, code = 0, gpus = 1;  // as in cuda::DriverState
};

Settings& settings();

struct Counts {
  std::int64_t products = 0, in_place = 0, with_bias = 0, suggestions = 0;
  std::int64_t bytes = 0, most_bytes = 0;  // of the GPU's memory in use, and the most that ever was
};

Counts& counts();

// Everything that waits on any stream is lost with an error of a kernel: found by the next wait.
void break_kernel();

// The GPU's time goes on by this much.
void pass(double milliseconds);

// Of emulated kernels.
void submit(void* stream, std::function<void()> work);

}  // namespace thresher::device::fake
