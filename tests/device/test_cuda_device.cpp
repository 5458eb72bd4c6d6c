// The device contract on a GPU: THRESHER_TEST_GPU is its place in the driver's list. Skipped where it is not set.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <thread>

#include "device/device_contract.h"
#include "thresher/base/check.h"
#include "thresher/device/cuda.h"

namespace thresher::device {
namespace {

boost::test_tools::assertion_result gpu_is_given(boost::unit_test::test_unit_id) {
  boost::test_tools::assertion_result given(std::getenv("THRESHER_TEST_GPU") != nullptr);
  given.message() << "THRESHER_TEST_GPU is not set";
  return given;
}

struct Cuda {
  const CudaOptions options{.gpu = std::atoi(std::getenv("THRESHER_TEST_GPU")), .threads = 1, .algorithms = {}};
  std::unique_ptr<Device> one = make_cuda_device(options);
};

BOOST_AUTO_TEST_SUITE(cuda_device, *boost::unit_test::precondition(gpu_is_given))

BOOST_FIXTURE_TEST_CASE(says_what_it_is, Cuda) {
  BOOST_TEST_MESSAGE(one->isa());
  BOOST_TEST(one->kind() == "cuda");
  BOOST_TEST(!one->host_memory());
}
BOOST_FIXTURE_TEST_CASE(embed, Cuda) {
  contract::check_embed(*one);
}
BOOST_FIXTURE_TEST_CASE(norm, Cuda) {
  contract::check_norm(*one);
}
BOOST_FIXTURE_TEST_CASE(rope, Cuda) {
  contract::check_rope(*one);
}
BOOST_FIXTURE_TEST_CASE(gate, Cuda) {
  contract::check_gate(*one);
}
BOOST_FIXTURE_TEST_CASE(matmul, Cuda) {
  contract::check_matmul(*one);
}
BOOST_FIXTURE_TEST_CASE(matmul_gate, Cuda) {
  contract::check_matmul_gate(*one);
}
BOOST_FIXTURE_TEST_CASE(attend, Cuda) {
  contract::check_attend(*one);
}
BOOST_FIXTURE_TEST_CASE(score, Cuda) {
  contract::check_score(*one);
}
BOOST_FIXTURE_TEST_CASE(queue, Cuda) {
  contract::check_queue(*one);
}
BOOST_FIXTURE_TEST_CASE(queued_copies, Cuda) {
  contract::check_queued_copies(*one);
}
BOOST_FIXTURE_TEST_CASE(score_ties, Cuda) {
  contract::check_score_ties(*one);
}
BOOST_FIXTURE_TEST_CASE(score_of_broken_logits, Cuda) {
  contract::check_score_of_broken_logits(*one);
}
BOOST_FIXTURE_TEST_CASE(bring, Cuda) {
  contract::check_bring(*one);
  BOOST_TEST_MESSAGE("copies at " << one->measure_bring(0.2) / 1e9 << " GB/s, " << one->free_bytes() << " bytes free");
}
BOOST_FIXTURE_TEST_CASE(pieces, Cuda) {
  contract::check_pieces(*one);
}
BOOST_FIXTURE_TEST_CASE(columns, Cuda) {
  contract::check_columns(*one);
}
BOOST_FIXTURE_TEST_CASE(embed_of_part, Cuda) {
  contract::check_embed_of_part(*one);
}
BOOST_FIXTURE_TEST_CASE(attend_of_part, Cuda) {
  contract::check_attend_of_part(*one);
}
BOOST_FIXTURE_TEST_CASE(split_vocabulary, Cuda) {
  contract::check_split_vocabulary(*one);
}
BOOST_FIXTURE_TEST_CASE(same_bits, Cuda) {
  const auto two = make_cuda_device(options);
  contract::check_same_bits(*one, *two);
}
BOOST_FIXTURE_TEST_CASE(works_from_another_thread, Cuda) {
  std::thread([&] { contract::check_matmul(*one); }).join();
}

// Attention by cuDNN, wherever it can be given it, and what it is worth. Its engines are tried by the device itself:
// one that breaks a promise fails here with its reason.
BOOST_FIXTURE_TEST_CASE(attention_by_cudnn, Cuda) {
  setenv("THRESHER_ATTENTION", "cudnn", 1);
  const auto forced = make_cuda_device(options);
  unsetenv("THRESHER_ATTENTION");
  for (const char* kind : {"f32 64", "f32 128", "bf16 128"}) {
    try {
      const Tuning tuning = tune(*forced, std::string("attention ") + kind + "\n");
      for (const Tuned& tuned : tuning.steps)
        BOOST_TEST_MESSAGE(tuned.step << ": own kernel " << tuned.flop / tuned.first_seconds / 1e12
                                      << " TFLOP/s, cuDNN " << tuned.flop / tuned.seconds / 1e12 << ", tried for "
                                      << tuning.seconds << " s; " << tuning.algorithms);
    } catch (const base::Error& error) {
      if (std::string(error.what()).find("libcudnn") == std::string::npos) throw;
      BOOST_TEST_MESSAGE("skipped: " << error.what());
      return;
    }
  }
  contract::check_attend_of(*forced, DType::bf16, DType::bf16);
  contract::check_attend_of_part(*forced);
  const auto other = make_cuda_device({.gpu = options.gpu, .threads = 1, .algorithms = algorithms_of(*forced)});
  contract::check_same_bits(*forced, *other);
  const auto measured = make_cuda_device(options);
  for (const Tuned& tuned : tune(*measured, "attention f32 128\n").steps)
    BOOST_TEST_MESSAGE("measured: " << measured->isa() << " " << tuned.note);
}

// A second device that is given the first one's choices chooses nothing itself.
BOOST_FIXTURE_TEST_CASE(algorithms_can_be_given, Cuda) {
  contract::check_matmul(*one);
  const std::string chosen = algorithms_of(*one);
  const auto two = make_cuda_device({.gpu = options.gpu, .threads = 1, .algorithms = chosen});
  contract::check_matmul(*two);
  BOOST_TEST(algorithms_of(*two) == chosen);
}

BOOST_FIXTURE_TEST_CASE(memory_that_is_not_there_is_refused_with_numbers, Cuda) {
  BOOST_CHECK_EXCEPTION(one->allocate(std::int64_t{1} << 50), base::Error, [](const base::Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.code() == base::Exit::os && std::string(error.what()).find("MiB needed") != std::string::npos;
  });
  contract::check_gate(*one);  // the failure is not found again by a later step
}

BOOST_FIXTURE_TEST_CASE(seconds_are_measured, Cuda) {
  double seconds = 0;
  one->time(seconds, [&] { contract::check_gate(*one); });
  one->finish();
  BOOST_TEST(seconds > 0);
}

BOOST_FIXTURE_TEST_CASE(peak, Cuda) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const double flops = one->measure_peak(dtype, 0.2);
    BOOST_TEST_MESSAGE(tensor::name_of(dtype) << " " << flops / 1e12 << " TFLOP/s");
    BOOST_TEST(flops > 1e12);
    BOOST_TEST(flops < 1e16);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
