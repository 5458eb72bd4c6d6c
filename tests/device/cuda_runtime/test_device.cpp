// The whole CUDA device, with its kernels by the emulation and everything of CUDA's by the fake.
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <thread>

#include "device/cuda/entry.h"
#include "device/cuda_runtime/fake.h"
#include "device/device_contract.h"
#include "device/plain.h"
#include "thresher/base/check.h"
#include "thresher/base/clock.h"

extern "C" const thresher::device::cuda::Entry* thresher_cuda();

namespace thresher::device {
namespace {

struct Fake {
  std::unique_ptr<Device> device = thresher_cuda()->make({});
  ~Fake() {
    device.reset();
    BOOST_TEST(fake::counts().bytes == 0, "all memory is given back");
    fake::settings() = {};
  }
};
struct Eager : Fake {
  Eager() { fake::settings().late = false; }
};
struct OthersEarly : Fake {
  OthersEarly() { fake::settings().others_early = true; }
};
struct Unsteady : Fake {
  Unsteady() { fake::settings().unsteady = true; }
};
struct Plainer : Fake {
  Plainer() { fake::settings().bias_to_bf16 = false; }
};

BOOST_AUTO_TEST_SUITE(cuda_runtime)

BOOST_FIXTURE_TEST_CASE(says_what_it_is, Fake) {
  BOOST_TEST(device->kind() == "cuda");
  BOOST_TEST(device->isa() == "sm_90 of 132 processors, cuBLASLt 13.1.0");
  BOOST_TEST(!device->host_memory());
}
BOOST_FIXTURE_TEST_CASE(embed, Fake) {
  contract::check_embed(*device);
}
BOOST_FIXTURE_TEST_CASE(norm, Fake) {
  contract::check_norm(*device);
}
BOOST_FIXTURE_TEST_CASE(rope, Fake) {
  contract::check_rope(*device);
}
BOOST_FIXTURE_TEST_CASE(gate, Fake) {
  contract::check_gate(*device);
}
BOOST_FIXTURE_TEST_CASE(matmul, Fake) {
  const fake::Counts before = fake::counts();
  contract::check_matmul(*device);
  BOOST_TEST(fake::counts().in_place > before.in_place);
  BOOST_TEST(fake::counts().with_bias > before.with_bias);
}
BOOST_FIXTURE_TEST_CASE(matmul_gate, Fake) {
  contract::check_matmul_gate(*device);
}
BOOST_FIXTURE_TEST_CASE(matmul_at_once, Eager) {
  contract::check_matmul(*device);
}
BOOST_FIXTURE_TEST_CASE(matmul_without_a_bias_for_bf16, Plainer) {
  contract::check_matmul(*device);
}
BOOST_FIXTURE_TEST_CASE(matmul_in_slabs, Unsteady) {
  contract::check_matmul(*device);
}
BOOST_FIXTURE_TEST_CASE(score, Fake) {
  contract::check_score(*device);
}
BOOST_FIXTURE_TEST_CASE(score_at_once, Eager) {
  contract::check_score_ties(*device);
}
BOOST_FIXTURE_TEST_CASE(queue, Fake) {
  contract::check_queue(*device);
}
BOOST_FIXTURE_TEST_CASE(queued_copies, Fake) {
  contract::check_queued_copies(*device);
}
BOOST_FIXTURE_TEST_CASE(score_ties, Fake) {
  contract::check_score_ties(*device);
}
BOOST_FIXTURE_TEST_CASE(score_of_broken_logits, Fake) {
  contract::check_score_of_broken_logits(*device);
}
BOOST_FIXTURE_TEST_CASE(score_with_a_hasty_side, OthersEarly) {
  contract::check_score_ties(*device);
}
// A step that does not wait for its weights finds those of another group, or none.
BOOST_FIXTURE_TEST_CASE(bring, Fake) {
  contract::check_bring(*device);
}
BOOST_FIXTURE_TEST_CASE(bring_at_once, Eager) {
  contract::check_bring(*device);
}
// Copies that do not wait for the last step of their slot take its weights away.
BOOST_FIXTURE_TEST_CASE(bring_with_hasty_copies, OthersEarly) {
  contract::check_bring(*device);
}
BOOST_FIXTURE_TEST_CASE(weights_that_are_not_there_are_refused, Fake) {
  auto values = contract::random_matrix(1, 64 * 64, 1);
  const Tensor matrix = tensor::matrix(values.data(), DType::f32, 64, 64);
  const auto one = device->pack(matrix, DType::f32, {}, Residence::host),
             other = device->pack(matrix, DType::f32, {}, Residence::host), here = device->pack(matrix, DType::f32);
  contract::Plain x(*device, DType::f32, 4, 64), out(*device, DType::f32, 4, 64);
  const auto use = [&](const Weight& weight) { device->matmul(x.view(), weight, {}, false, out.view()); };
  const auto refuses = [](const auto& body, const char* words) {
    BOOST_CHECK_EXCEPTION(body(), base::Error, [&](const base::Error& error) {
      return error.code() == base::Exit::internal && std::string(error.what()).find(words) != std::string::npos;
    });
  };
  Weight* const both[] = {one.get(), other.get()};
  const auto bring = [&](std::size_t first, std::size_t count) {
    device->bring(std::span(both).subspan(first, count), 0);
  };
  refuses([&] { use(*one); }, "not on the device");
  refuses([&] { bring(0, 1); }, "for a slot of 0");
  device->make_slots(one->bytes());
  refuses([&] { bring(0, 2); }, "for a slot of 16384");
  bring(0, 1);
  use(*one);
  bring(1, 1);
  refuses([&] { use(*one); }, "not on the device");
  use(*other);
  Weight* const resident[] = {here.get()};
  refuses([&] { device->bring(resident, 0); }, "lives on the device");
  device->make_slots(2 * one->bytes());
  refuses([&] { use(*other); }, "not on the device");
  device->finish();
  BOOST_TEST(device->bring_time().bytes == 2 * one->bytes());
  BOOST_TEST(device->bring_time().waited >= 0);
}
BOOST_FIXTURE_TEST_CASE(free_memory_is_told, Fake) {
  const std::int64_t before = device->free_bytes();
  const Buffer some = device->allocate(1 << 20);
  BOOST_TEST(device->free_bytes() == before - (1 << 20));
  BOOST_TEST(device->measure_bring(0.001) > 0);
}
BOOST_FIXTURE_TEST_CASE(pieces, Fake) {
  contract::check_pieces(*device);
}
BOOST_FIXTURE_TEST_CASE(columns, Fake) {
  contract::check_columns(*device);
}
BOOST_FIXTURE_TEST_CASE(embed_of_part, Fake) {
  contract::check_embed_of_part(*device);
}
BOOST_FIXTURE_TEST_CASE(split_vocabulary, Fake) {
  contract::check_split_vocabulary(*device);
}
BOOST_FIXTURE_TEST_CASE(same_bits, Fake) {
  const auto other = thresher_cuda()->make({});
  contract::check_same_bits(*device, *other);
}

BOOST_FIXTURE_TEST_CASE(algorithms_that_are_given_are_taken, Fake) {
  contract::check_matmul(*device);
  const std::string chosen = thresher_cuda()->algorithms(*device);
  const auto other = thresher_cuda()->make({.gpu = 0, .threads = 1, .algorithms = chosen});
  const std::int64_t before = fake::counts().suggestions;
  contract::check_matmul(*other);
  BOOST_TEST(fake::counts().suggestions == before);
  BOOST_TEST(thresher_cuda()->algorithms(*other) == chosen);
}

// Products of two shapes, and what they give.
std::vector<float> two_products(Device& device) {
  std::vector<float> numbers;
  for (const std::int64_t inputs : {24, 40}) {
    contract::Plain w(device, DType::f32, 16, inputs), x(device, DType::f32, 3, inputs), out(device, DType::f32, 3, 16);
    w.fill([](auto r, auto c) { return 0.25 * static_cast<double>(r - c) + 0.1; });
    x.fill([](auto r, auto c) { return 0.5 * static_cast<double>(r + c) - 0.3; });
    const auto weight = device.pack(w.host(), DType::f32);
    device.matmul(x.view(), *weight, {}, false, out.view());
    device.finish();
    device.download(out.view(), out.host());
    for (std::int64_t r = 0; r < 3; ++r)
      for (std::int64_t c = 0; c < 16; ++c) numbers.push_back(out.host().row<const float>(r)[c]);
  }
  return numbers;
}

std::string kind_of(const std::string& algorithms, const std::string& key) {
  const std::size_t at = algorithms.find(key + " : ");
  BOOST_REQUIRE(at != std::string::npos);
  const std::string words = algorithms.substr(at + key.size() + 3);
  return words.substr(0, words.find(" 0 0 0"));
}

constexpr const char* both_steps = "products 16 24 f32 f32 none\nproducts 16 40 f32 f32 none\n";

BOOST_FIXTURE_TEST_CASE(a_rehearsal_names_the_steps_to_tune, Fake) {
  const auto& cuda = *thresher_cuda();
  BOOST_TEST(cuda.rehearse(*device, [&] { two_products(*device); }) == both_steps);
  BOOST_TEST(cuda.algorithms(*device).find(" : ") == std::string::npos, "nothing is chosen by it");
  cuda.tune(*device, both_steps);
  BOOST_TEST(cuda.rehearse(*device, [&] { two_products(*device); }) == "");
}

BOOST_FIXTURE_TEST_CASE(the_fastest_steady_algorithm_is_taken, Fake) {
  const auto& cuda = *thresher_cuda();
  const std::vector<float> untuned = two_products(*device);
  const auto tuned = cuda.make({});
  const Tuning tuning = cuda.tune(*tuned, both_steps);
  BOOST_TEST(kind_of(tuning.algorithms, "16 24 f32 f32 none") == "1048576 0 5");
  BOOST_REQUIRE(tuning.steps.size() == 2u);
  BOOST_TEST(tuning.steps[0].step == "products 16 24 f32 f32 none");
  BOOST_TEST(tuning.steps[0].flop == 2.0 * 8192 * 16 * 24);
  BOOST_TEST(tuning.steps[0].seconds >= 60e-3);
  BOOST_TEST(tuning.steps[0].note.find("other bits") != std::string::npos);
  BOOST_TEST(tuning.steps[0].first_seconds >= 80e-3);
  const std::vector<float> faster = two_products(*tuned);
  BOOST_TEST(faster == untuned, boost::test_tools::per_element());
  // Another rank that is told computes the same.
  cuda.take(*device, tuning.algorithms);
  const auto told = cuda.make({.gpu = 0, .threads = 1, .algorithms = tuning.algorithms});
  BOOST_TEST(two_products(*told) == faster, boost::test_tools::per_element());
  const std::int64_t before = fake::counts().suggestions;
  two_products(*told);
  BOOST_TEST(fake::counts().suggestions == before);
}

BOOST_FIXTURE_TEST_CASE(the_list_s_first_says_which_bits_are_right, Fake) {
  const std::vector<float> untuned = two_products(*device);
  fake::settings().first = 4;
  const auto other = thresher_cuda()->make({});
  const Tuning tuning = thresher_cuda()->tune(*other, both_steps);
  BOOST_TEST(kind_of(tuning.algorithms, "16 40 f32 f32 none") == "1048576 0 4");
  BOOST_TEST(two_products(*other) != untuned);
}

BOOST_FIXTURE_TEST_CASE(the_first_may_be_the_fastest, Fake) {
  fake::settings().milliseconds = "10 10 10 20 80 120";
  const Tuning tuning = thresher_cuda()->tune(*device, both_steps);
  BOOST_TEST(kind_of(tuning.algorithms, "16 40 f32 f32 none") == "1048576 0 3");
  BOOST_TEST(tuning.steps[0].seconds == tuning.steps[0].first_seconds);
}

BOOST_FIXTURE_TEST_CASE(without_a_steady_algorithm_slabs_are_tuned, Unsteady) {
  const Tuning tuning = thresher_cuda()->tune(*device, both_steps);
  BOOST_TEST(kind_of(tuning.algorithms, "16 40 f32 f32 none") == "1048576 1 2");
}

BOOST_FIXTURE_TEST_CASE(steps_may_be_tuned_when_they_are_called, Fake) {
  const auto tuned = thresher_cuda()->make({.gpu = 0, .threads = 1, .algorithms = {}, .tune = true});
  const std::vector<float> numbers = two_products(*tuned);
  BOOST_TEST(kind_of(thresher_cuda()->algorithms(*tuned), "16 24 f32 f32 none") == "1048576 0 5");
  BOOST_TEST(numbers == two_products(*device), boost::test_tools::per_element());
}

BOOST_FIXTURE_TEST_CASE(tuning_makes_do_with_less_memory, Fake) {
  const std::int64_t weight = 4 * 128 * 128, rows = 4 * 2 * 128;  // bytes of the weight; of a row of x and out
  fake::settings().memory = fake::counts().bytes + weight + 2100 * rows;
  const Tuning tuning = thresher_cuda()->tune(*device, "products 128 128 f32 f32 none\n");
  BOOST_TEST(tuning.steps[0].flop == 2.0 * 2048 * 128 * 128);
  fake::settings().memory = fake::counts().bytes + weight;
  BOOST_CHECK_THROW(thresher_cuda()->tune(*device, "products 128 120 f32 f32 none\n"), base::Error);
}

BOOST_FIXTURE_TEST_CASE(large_tensors_are_copied_piece_by_piece, Fake) {
  contract::Plain there(*device, DType::i32, 3, 5 << 20), back(*device, DType::i32, 3, 5 << 20);
  there.fill([](auto r, auto c) { return r * 7 + c; });
  device->download(there.view(), back.host());
  BOOST_TEST((there.bytes() == back.bytes()));
}

BOOST_FIXTURE_TEST_CASE(memory_that_is_not_there_is_refused_with_numbers, Fake) {
  fake::settings().memory = fake::counts().bytes + (std::int64_t{8} << 20);
  BOOST_CHECK_EXCEPTION(device->allocate(std::int64_t{16} << 20), base::Error, [](const base::Error& error) {
    const std::string text = error.what();
    BOOST_TEST_MESSAGE(text);
    return error.code() == base::Exit::os && text.find("16 MiB needed") != std::string::npos &&
           text.find("8 of ") != std::string::npos;
  });
  contract::Plain small(*device, DType::f32, 1, 8);
}

BOOST_FIXTURE_TEST_CASE(seconds_are_measured_around_waits, Fake) {
  double outer = 0, inner = 0;
  contract::Plain x(*device, DType::f32, 4, 64), out(*device, DType::f32, 4, 32);
  device->time(outer, [&] {
    device->time(inner, [&] { device->gate(x.view(), Activation::silu, out.view()); });
    device->finish();
    device->gate(x.view(), Activation::silu, out.view());
  });
  BOOST_TEST(inner > 0);
  device->finish();
  BOOST_TEST(outer > inner);
  const double before = outer;
  device->finish();
  BOOST_TEST(outer == before);
}

BOOST_FIXTURE_TEST_CASE(queued_copies_want_pinned_memory, Fake) {
  contract::Plain x(*device, DType::f32, 2, 8);
  BOOST_CHECK_THROW(device->queue_upload(x.host(), x.view()), std::logic_error);
  BOOST_CHECK_THROW(device->queue_download(x.view(), x.host()), std::logic_error);
}

// Work is done when it is given, and a rest of the host's is one of the GPU's where nothing stands in the queue.
BOOST_FIXTURE_TEST_CASE(time_without_work_is_idle, Eager) {
  constexpr double pause = 0.02;
  contract::Plain x(*device, DType::f32, 4, 64), out(*device, DType::f32, 4, 32);
  const auto work = [&] { device->gate(x.view(), Activation::silu, out.view()); };
  const auto rest = [&] { std::this_thread::sleep_for(std::chrono::duration<double>(pause)); };
  const auto mark = device->make_mark();
  rest();
  const base::Stopwatch watch;
  device->count_use();
  work(), mark->set(), mark->wait();
  rest();
  work(), mark->set(), mark->wait();
  const double seconds = watch.seconds();
  const DeviceUse waited = device->use().value();
  BOOST_TEST(waited.idle >= pause);
  BOOST_TEST(waited.busy > 0);
  BOOST_TEST(waited.busy + waited.idle <= seconds);
  BOOST_TEST(waited.idle_share() == waited.idle / (waited.busy + waited.idle));

  device->count_use();
  work();
  const base::Stopwatch between;
  mark->set();
  work();
  const double most = between.seconds();
  rest();
  device->finish();
  BOOST_TEST(device->use()->idle <= most);
  BOOST_TEST(device->use()->busy >= pause);

  device->count_use();
  device->finish();
  BOOST_TEST(device->use()->busy == 0);
  BOOST_TEST(device->use()->idle_share() == 0);
}

BOOST_AUTO_TEST_CASE(a_machine_that_lacks_something_says_what) {
  const auto says = [](const fake::Settings& machine, const char* words) {
    fake::settings() = machine;
    BOOST_CHECK_EXCEPTION(thresher_cuda()->make({}), base::Error, [&](const base::Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return error.code() == base::Exit::unavailable && std::string(error.what()).find(words) != std::string::npos;
    });
    fake::settings() = {};
  };
  says({.driver = 0, .code = 35}, "no NVIDIA driver");
  says({.driver = 12040, .code = 35}, "12.4");
  says({.code = 100}, "no GPU");
  says({.gpus = 0}, "no GPU");
  BOOST_CHECK_EXCEPTION(thresher_cuda()->make({.gpu = 1, .threads = 1, .algorithms = {}}), base::Error,
                        [](const base::Error& error) {
                          return std::string(error.what()).find("GPU 1 is asked for") != std::string::npos;
                        });
}

// The last case: a broken GPU stays broken for the process.
BOOST_AUTO_TEST_CASE(what_fails_on_the_gpu_is_found_and_named) {
  auto device = thresher_cuda()->make({});
  contract::Plain x(*device, DType::f32, 4, 64), out(*device, DType::f32, 4, 32);
  device->finish();
  device->gate(x.view(), Activation::silu, out.view());
  fake::break_kernel();
  BOOST_CHECK_EXCEPTION(device->finish(), base::Error, [](const base::Error& error) {
    const std::string text = error.what();
    BOOST_TEST_MESSAGE(text);
    return error.code() == base::Exit::os && text.find("gate") != std::string::npos &&
           text.find("cudaErrorIllegalAddress") != std::string::npos;
  });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
