#include <boost/test/unit_test.hpp>
#include <fstream>
#include <string>

#include "simulation/simulation.h"
#include "thresher/base/log.h"

using namespace thresher;
using simulation::Mistake;
using simulation::simulate_job;

namespace {

struct Quiet {
  Quiet() { base::log().open(0, false); }
};

// Jobs until the mistake is found; -1 if it is not.
std::int64_t jobs_until_found(Mistake mistake, std::int64_t most) {
  for (std::int64_t job = 0; job < most; ++job) {
    try {
      simulate_job(static_cast<std::uint64_t>(job), mistake);
    } catch (const simulation::Broken& broken) {
      BOOST_TEST_MESSAGE("found in job " << job << ": " << broken.what());
      return job;
    }
  }
  return -1;
}

}  // namespace

BOOST_TEST_GLOBAL_FIXTURE(Quiet);

BOOST_AUTO_TEST_SUITE(simulated_jobs)

// Each of them has failed once.
BOOST_AUTO_TEST_CASE(seeds_that_failed_once) {
  std::ifstream file(THRESHER_SOURCE_DIR "/tests/simulation/seeds.txt");
  std::string word;
  int seeds = 0;
  while (file >> word) {
    if (word.starts_with("#")) {
      std::getline(file, word);
      continue;
    }
    ++seeds;
    BOOST_CHECK_NO_THROW(simulate_job(std::stoull(word)));
  }
  BOOST_TEST(seeds > 0);
}

BOOST_AUTO_TEST_CASE(the_same_seed_is_the_same_job) {
  for (std::uint64_t seed = 1000; seed < 1050; ++seed) {
    const simulation::Tally first = simulate_job(seed);
    simulate_job(seed + 1);
    BOOST_TEST(simulate_job(seed).trace == first.trace);
  }
}

// Everything that is meant to happen does.
BOOST_AUTO_TEST_CASE(launches_end_in_every_way) {
  simulation::Tally total;
  for (std::uint64_t seed = 0; seed < 300; ++seed) total.add(simulate_job(seed));
  BOOST_TEST(total.finished >= 300);
  BOOST_TEST(total.stopped > 20);
  BOOST_TEST(total.failed > 100);
  BOOST_TEST(total.killed > 100);
  BOOST_TEST(total.power_losses > 50);
}

BOOST_AUTO_TEST_CASE(data_that_are_not_synced_are_found_out) {
  BOOST_TEST(jobs_until_found(Mistake::no_sync, 200) >= 0);
}

BOOST_AUTO_TEST_CASE(names_before_their_data_are_found_out) {
  BOOST_TEST(jobs_until_found(Mistake::late_sync, 1000) >= 0);
}

BOOST_AUTO_TEST_CASE(names_that_are_not_synced_are_found_out) {
  BOOST_TEST(jobs_until_found(Mistake::no_directory_sync, 200) >= 0);
}

BOOST_AUTO_TEST_CASE(a_list_of_what_is_done_is_found_out) {
  BOOST_TEST(jobs_until_found(Mistake::done_list, 1000) >= 0);
}

BOOST_AUTO_TEST_SUITE_END()
