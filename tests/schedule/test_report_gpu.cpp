#include <boost/test/unit_test.hpp>

#include "schedule/report_gpu.h"

namespace thresher::schedule {
namespace {

device::GpuUse use_of(double energy, double utilisation, std::int64_t memory) {
  device::GpuUse use;
  use.energy = energy;
  use.utilisation = utilisation;
  use.throttled = energy / 1000;
  use.memory_peak = memory;
  return use;
}

BOOST_AUTO_TEST_SUITE(report_gpu)

BOOST_AUTO_TEST_CASE(ranks_on_one_gpu_count_it_once) {
  Outcome outcome;
  outcome.gpus = {"GPU-a", "GPU-b", "GPU-a"};
  outcome.ranks.resize(3);
  note_gpu(outcome.ranks[0], use_of(1000, 0.5, 700), 300);
  note_gpu(outcome.ranks[1], use_of(2000, 0.9, 650), 640);
  note_gpu(outcome.ranks[2], use_of(1010, 0.5, 720), 400);
  for (base::Metrics& rank : outcome.ranks) rank.set("tokens scored", 100);
  const GpuTotals totals = gpu_totals(outcome);
  BOOST_TEST(totals.gpus == 2);
  BOOST_TEST(totals.energy.value() == 3010);
  BOOST_TEST(totals.joules_per_token.value() == 3010 / 300.0);
  BOOST_TEST(totals.utilisation.value() == 0.7);
  BOOST_TEST(totals.throttled.value() == 2.0);
  BOOST_TEST(totals.memory_peak.value() == 720);
  BOOST_TEST(totals.allocated_peak.value() == 700);
  BOOST_TEST(!totals.clock);
  BOOST_TEST(gpu_text(totals).find("2 GPUs, 3.0 kJ") == 0u);
}

BOOST_AUTO_TEST_CASE(what_no_gpu_tells_is_left_out) {
  Outcome outcome;
  outcome.ranks.resize(1);
  BOOST_TEST(gpu_totals(outcome).gpus == 0);
  BOOST_TEST(gpu_text(gpu_totals(outcome)).empty());
  outcome.gpus = {"GPU-a"};
  note_gpu(outcome.ranks[0], {}, 1 << 20);
  const GpuTotals totals = gpu_totals(outcome);
  BOOST_TEST(!totals.energy);
  BOOST_TEST(!totals.joules_per_token);
  BOOST_TEST(gpu_text(totals) == "1 GPU, 1.0 MiB allocated at most\n");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::schedule
