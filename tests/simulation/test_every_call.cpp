// One job, disturbed at its first call of the disk, at its second, and so on to its last: in every way there is.
#include <fmt/format.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>

#include "base/simulated_disk.h"
#include "simulation/launch.h"

using namespace thresher;
using simulation::Disturbance;
using simulation::End;
using simulation::Launch;
using simulation::Outcome;
using tests::Fault;
using tests::Operation;
using tests::Random;
using tests::SimulatedDisk;

namespace {

// Gathered and sharded worlds with tokens and a few shards.
const int some_worlds[] = {2, 3, 10};

class Sweep {
 public:
  explicit Sweep(int world) : world_(simulation::world(world)) {}

  // Launches until one gets through: the first with `first`, the second with `second`. Tells whether the first
  // disturbance came to pass.
  bool survives(const Disturbance& first, const Disturbance& second, std::uint64_t seed) {
    Random random(seed);
    SimulatedDisk disk;
    disk.make_directories("/scratch");
    disk.sync_directory("/");
    std::set<std::int64_t> acknowledged;
    const Outcome outcome = launch(disk, random, acknowledged, first, 0);
    launch(disk, random, acknowledged, second, 1);
    BOOST_REQUIRE(launch(disk, random, acknowledged, {}, 2).end == End::finished);
    for (const auto& [name, content] : world_.finished)
      BOOST_REQUIRE_MESSAGE(disk.content(base::Path("/scratch/run") / name) == content, name);
    for (const std::string& name : disk.names()) BOOST_REQUIRE_MESSAGE(!name.ends_with(".tmp"), name);
    return outcome.struck;
  }

  // For every call until the job is over: of all that change the disk, or of one kind.
  std::int64_t every_call(Fault fault, bool power, const Disturbance& second = {}) {
    for (fault.at = 0; fault.at < 2000; ++fault.at) {
      Disturbance first{.faults = {{0, fault}}};
      first.power = power;
      BOOST_TEST_CONTEXT("call " << fault.at << ", errno " << fault.error << ", kind " << static_cast<int>(fault.kind))
      if (!survives(first, second, static_cast<std::uint64_t>(fault.at))) return fault.at;
    }
    BOOST_FAIL("the job never gets through");
    return -1;
  }

 private:
  Outcome launch(SimulatedDisk& disk, Random& random, std::set<std::int64_t>& acknowledged,
                 const Disturbance& disturbance, std::int64_t number) {
    Outcome outcome;
    {
      Launch launch({number, disk, "/scratch/run", world_, 2, false, codec_, false, rule_, disturbance}, random,
                    acknowledged);
      outcome = launch.run();
    }
    if (disturbance.power && outcome.end == End::killed) disk.lose_power(random);
    return outcome;
  }

  const simulation::World& world_;
  simulation::RememberingCodec codec_;
  simulation::CommitRule rule_;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(every_call)

BOOST_AUTO_TEST_CASE(rank_zero_dies) {
  for (const int world : some_worlds) BOOST_TEST(Sweep(world).every_call({.kind = Fault::Kind::crash}, false) > 50);
}

BOOST_AUTO_TEST_CASE(the_power_goes) {
  for (const int world : some_worlds) BOOST_TEST(Sweep(world).every_call({.kind = Fault::Kind::crash}, true) > 50);
}

BOOST_AUTO_TEST_CASE(an_error_once_and_from_then_on) {
  for (const int error : {ENOSPC, EIO, EDQUOT, EINTR, EROFS, EMFILE})
    for (const bool from_then_on : {false, true})
      BOOST_TEST(Sweep(some_worlds[error % 3])
                     .every_call({.kind = Fault::Kind::error, .error = error, .from_then_on = from_then_on}, false) >
                 50);
}

BOOST_AUTO_TEST_CASE(an_error_after_the_fact) {
  for (const int world : some_worlds)
    BOOST_TEST(Sweep(world).every_call({.kind = Fault::Kind::late_error, .error = EIO}, false) > 50);
}

BOOST_AUTO_TEST_CASE(a_short_write) {
  for (const int world : some_worlds)
    BOOST_TEST(Sweep(world).every_call(
                   {.kind = Fault::Kind::short_write, .error = ENOSPC, .operation = Operation::write}, false) > 10);
}

BOOST_AUTO_TEST_CASE(reading_back_fails) {
  Disturbance again{.faults = {{0, {.kind = Fault::Kind::error, .error = EIO, .at = 1, .operation = Operation::read}}}};
  BOOST_TEST(
      Sweep(2).every_call({.kind = Fault::Kind::error, .error = EIO, .operation = Operation::read}, false, again) > 3);
}

// Rank zero dies in a launch that was to make good for the power loss before.
BOOST_AUTO_TEST_CASE(death_while_recovering_from_a_power_loss) {
  for (const std::int64_t second : {0, 3, 5, 8, 11, 12, 15, 19, 25, 33}) {
    Disturbance recovery{.faults = {{0, {.kind = Fault::Kind::crash, .at = second}}}};
    BOOST_TEST(Sweep(2).every_call({.kind = Fault::Kind::crash}, true, recovery) > 50);
  }
}

BOOST_AUTO_TEST_SUITE_END()
