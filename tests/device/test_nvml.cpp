#include <boost/test/unit_test.hpp>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "device/cuda/gpu_account.h"
#include "thresher/device/meter.h"

namespace thresher::device {
namespace {

using cuda::GpuAccount;
using cuda::GpuLook;

struct Setting {
  explicit Setting(const char* words) { setenv("FAKE_NVML", words, 1); }
  ~Setting() { unsetenv("FAKE_NVML"); }
};

GpuUse watched(const char* words) {
  const Setting setting(words);
  const auto meter = watch_gpu("GPU-0", {.period = 0.01, .library = FAKE_NVML_FILE});
  BOOST_REQUIRE(meter);
  std::this_thread::sleep_for(std::chrono::milliseconds(60));
  return meter->stop();
}

BOOST_AUTO_TEST_SUITE(nvml)

BOOST_AUTO_TEST_CASE(energy_is_the_counter_s_difference) {
  GpuAccount account;
  account.add({.time = 10, .millijoules = 1'000'000, .milliwatts = 1});
  account.add({.time = 11, .millijoules = 1'300'000, .milliwatts = 1});
  account.add({.time = 13, .millijoules = 2'000'000, .milliwatts = 1});
  BOOST_TEST(account.use().energy.value() == 1000.0);
  BOOST_TEST(account.use().seconds == 3.0);
}

BOOST_AUTO_TEST_CASE(a_counter_that_goes_back_is_bridged_by_power) {
  GpuAccount account;
  account.add({.time = 0, .millijoules = 4'294'967'000, .milliwatts = 300'000});
  account.add({.time = 2, .millijoules = 100, .milliwatts = 500'000});
  account.add({.time = 3, .millijoules = 400'100, .milliwatts = 500'000});
  BOOST_TEST(account.use().energy.value() == 800.0 + 400.0);
}

BOOST_AUTO_TEST_CASE(without_a_counter_power_is_integrated) {
  GpuAccount account;
  account.add({.time = 0, .milliwatts = 100'000});
  account.add({.time = 1, .milliwatts = 300'000});
  account.add({.time = 3, .milliwatts = 500'000});
  BOOST_TEST(account.use().energy.value() == 200.0 + 800.0);
}

BOOST_AUTO_TEST_CASE(looks_that_fail_are_left_out) {
  GpuAccount account;
  account.add({.time = 0, .percent = 10, .bytes = 5});
  account.add({.time = 1});
  account.add({.time = 2, .percent = 50, .megahertz = 1000, .bytes = 7, .reasons = 0x4});
  account.add({.time = 5, .percent = 90, .megahertz = 1400, .bytes = 6, .reasons = 0x1});
  const GpuUse use = account.use();
  BOOST_TEST(!use.energy);
  BOOST_TEST(use.utilisation.value() == (0.5 * 1 + 0.9 * 3) / 4);
  BOOST_TEST(use.clock.value() == (1000.0 + 3 * 1400) / 4);
  BOOST_TEST(use.throttled.value() == 1.0);
  BOOST_TEST(use.memory_peak.value() == 7);
  BOOST_TEST(!GpuAccount().use().utilisation);
}

BOOST_AUTO_TEST_CASE(a_gpu_is_watched) {
  const GpuUse use = watched("");
  BOOST_TEST(use.energy.value() >= 500);
  BOOST_TEST(std::fmod(use.energy.value(), 250.0) == 0);
  BOOST_TEST(use.utilisation.value() == 0.97, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(use.clock.value() == 1755, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(use.memory_peak.value() == std::int64_t{30} << 30);
  BOOST_TEST(use.throttled.value() == 0);
  BOOST_TEST(use.seconds >= 0.05);
}

BOOST_AUTO_TEST_CASE(a_gpu_without_a_counter_is_watched) {
  const GpuUse use = watched("energy=none hot");
  BOOST_TEST(use.energy.value() == 400 * use.seconds, boost::test_tools::tolerance(1e-9));
  BOOST_TEST(use.throttled.value() == use.seconds, boost::test_tools::tolerance(1e-9));
}

BOOST_AUTO_TEST_CASE(where_nvml_is_not_usable_nothing_is_watched) {
  BOOST_TEST(!watch_gpu("GPU-0", {.period = 1, .library = "libnvidia-ml-that-is-not-there.so.1"}));
  BOOST_TEST(!watch_gpu("GPU-0", {.period = 1, .library = "libc.so.6"}));
  BOOST_TEST(!watch_gpu("MIG-0", {.period = 1, .library = FAKE_NVML_FILE}));
  for (const char* words : {"init=9", "uuid=6"}) {
    const Setting setting(words);
    BOOST_TEST(!watch_gpu("GPU-0", {.period = 1, .library = FAKE_NVML_FILE}));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
