#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <stdexcept>
#include <thread>
#include <vector>

#include "thresher/base/bounded_queue.h"
#include "thresher/base/metrics.h"

namespace base = thresher::base;

BOOST_AUTO_TEST_SUITE(bounded_queue)

BOOST_AUTO_TEST_CASE(passes_everything_through_in_order) {
  base::BoundedQueue<int> queue(3);
  std::thread producer([&] {
    for (int i = 0; i < 10'000; ++i) queue.push(i);
    queue.close();
  });
  int expected = 0;
  while (const auto item = queue.pop()) BOOST_TEST_REQUIRE(*item == expected++);
  producer.join();
  BOOST_TEST(expected == 10'000);
  BOOST_TEST(!queue.push(1));
}

BOOST_AUTO_TEST_CASE(close_frees_a_waiting_producer) {
  base::BoundedQueue<int> queue(1);
  BOOST_TEST(queue.push(1));
  bool pushed = true;
  std::thread producer([&] { pushed = queue.push(2); });
  queue.close();
  producer.join();
  BOOST_TEST(!pushed);
  BOOST_TEST(queue.pop().value() == 1);
  BOOST_TEST(!queue.pop().has_value());
}

BOOST_AUTO_TEST_CASE(abort_reaches_the_consumer) {
  base::BoundedQueue<int> queue(2);
  queue.push(1);
  queue.abort(std::make_exception_ptr(std::runtime_error("broken")));
  BOOST_CHECK_THROW(queue.pop(), std::runtime_error);
}

BOOST_AUTO_TEST_SUITE_END()

BOOST_AUTO_TEST_CASE(metrics_survive_the_wire_exactly) {
  base::Metrics metrics;
  metrics.add("wait input", 0.1);
  metrics.add("wait input", 0.2);
  metrics.set("step matmul", 1e-300);
  const base::Metrics copy = base::Metrics::decode(metrics.encode());
  BOOST_TEST((copy.values() == metrics.values()));
  BOOST_TEST(copy.value("wait input") == 0.1 + 0.2);
  BOOST_TEST(copy.value("absent") == 0);
}
