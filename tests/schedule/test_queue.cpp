#include <boost/test/unit_test.hpp>
#include <random>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/schedule/queue.h"

using thresher::base::Error;
using thresher::schedule::Lease;
using thresher::schedule::LeaseQueue;

BOOST_AUTO_TEST_SUITE(queue)

BOOST_AUTO_TEST_CASE(every_open_shard_is_leased_once) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<bool> done(random() % 300);
    std::int64_t open = 0;
    for (std::size_t s = 0; s < done.size(); ++s) open += !(done[s] = random() % 3 == 0);
    LeaseQueue queue(done, 1 + static_cast<int>(random() % 5));
    std::vector<bool> leased(done.size());
    for (Lease lease = queue.lease(); lease.count > 0; lease = queue.lease())
      for (std::int64_t s = lease.first; s < lease.first + lease.count; ++s) {
        BOOST_TEST_REQUIRE(!done[s]);
        BOOST_TEST_REQUIRE(!leased[s]);
        leased[s] = true;
        queue.complete(s);
        --open;
      }
    BOOST_TEST(open == 0);
    BOOST_TEST(queue.finished());
  }
}

BOOST_AUTO_TEST_CASE(runs_shrink_to_one_shard) {
  LeaseQueue queue(std::vector<bool>(1000), 4);
  std::int64_t previous = queue.lease().count;
  BOOST_TEST(previous > 1);
  for (Lease lease = queue.lease(); lease.count > 0; lease = queue.lease()) {
    BOOST_TEST(lease.count <= previous);
    previous = lease.count;
  }
  BOOST_TEST(previous == 1);
}

BOOST_AUTO_TEST_CASE(only_leased_shards_complete) {
  LeaseQueue queue({true, false}, 1);
  BOOST_CHECK_THROW(queue.complete(0), Error);
  BOOST_CHECK_THROW(queue.complete(1), Error);
  BOOST_TEST(queue.lease().first == 1);
  queue.complete(1);
  BOOST_CHECK_THROW(queue.complete(1), Error);
  BOOST_CHECK_THROW(queue.complete(2), Error);
}

BOOST_AUTO_TEST_SUITE_END()
