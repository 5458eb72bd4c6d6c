#include <boost/test/unit_test.hpp>

#include "device/cuda/driver.h"

namespace thresher::device::cuda {
namespace {

bool says(const DriverState& state, std::initializer_list<const char*> words) {
  const auto text = trouble(state);
  if (!text) return false;
  BOOST_TEST_MESSAGE(*text);
  for (const char* word : words)
    if (text->find(word) == std::string::npos) return false;
  return true;
}

BOOST_AUTO_TEST_SUITE(cuda_driver)

BOOST_AUTO_TEST_CASE(versions_as_people_write_them) {
  BOOST_TEST(version_text(13000) == "13.0");
  BOOST_TEST(version_text(12080) == "12.8");
}

BOOST_AUTO_TEST_CASE(a_gpu_is_no_trouble) {
  BOOST_TEST(!trouble({.driver = 13000, .runtime = 13000, .code = 0, .message = "no error", .count = 1}));
  BOOST_TEST(!trouble({.driver = 13020, .runtime = 13000, .code = 0, .message = "no error", .count = 8}));
}

// As the runtime behaves where there is no driver: version 0, code 35 and a count that it never wrote.
BOOST_AUTO_TEST_CASE(no_driver) {
  BOOST_TEST(says({.driver = 0, .runtime = 13000, .code = 35, .message = "insufficient", .count = -1},
                  {"no NVIDIA driver", "13.0", "--device cpu"}));
}

BOOST_AUTO_TEST_CASE(an_old_driver_is_told_with_both_versions) {
  BOOST_TEST(says({.driver = 12040, .runtime = 13000, .code = 35, .message = "insufficient", .count = -1},
                  {"too old", "12.4", "13.0"}));
}

BOOST_AUTO_TEST_CASE(no_gpu) {
  for (const int code : {100, 0})
    BOOST_TEST(says({.driver = 13000, .runtime = 13000, .code = code, .message = "no device", .count = 0},
                    {"no GPU", "CUDA_VISIBLE_DEVICES"}));
}

BOOST_AUTO_TEST_CASE(other_codes_keep_the_driver_s_words) {
  BOOST_TEST(says({.driver = 13000, .runtime = 13000, .code = 802, .message = "system not yet initialized"},
                  {"system not yet initialized", "802", "fabric manager"}));
  BOOST_TEST(says({.driver = 13000, .runtime = 13000, .code = 999, .message = "unknown error"}, {"999", "nvidia-smi"}));
}

BOOST_AUTO_TEST_CASE(memory_that_is_missing_is_told_in_numbers) {
  const std::string text = out_of_memory(std::int64_t{3} << 30, std::int64_t{1} << 30, std::int64_t{80} << 30, "H100");
  for (const char* word : {"3072 MiB", "1024 of 81920 MiB", "H100", "--tokens-per-batch", "--layout"})
    BOOST_TEST(text.find(word) != std::string::npos, text << " lacks " << word);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
