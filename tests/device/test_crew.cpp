#include <atomic>
#include <boost/test/unit_test.hpp>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include "device/cpu/crew.h"

using thresher::device::cpu::Crew;
using thresher::device::cpu::parallel_rows;

BOOST_AUTO_TEST_SUITE(crew)

BOOST_AUTO_TEST_CASE(every_task_is_done_once) {
  for (int threads : {1, 2, 3, 7}) {
    Crew crew(threads);
    BOOST_TEST(crew.threads() == threads);
    std::vector<std::atomic<int>> done(200);
    for (int round = 0; round < 2000; ++round) {
      const std::int64_t count = round % 200;
      crew.run(count, [&](std::int64_t task, int thread) {
        if (thread < 0 || thread >= threads) throw std::logic_error("thread number");
        ++done[static_cast<std::size_t>(task)];
      });
      for (std::int64_t task = 0; task < 200; ++task) {
        const int times = done[static_cast<std::size_t>(task)].exchange(0);
        if (times != (task < count ? 1 : 0)) BOOST_FAIL("task " << task << " was done " << times << " times");
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sleeping_threads_wake_up) {
  Crew crew(3);
  for (int round = 0; round < 20; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::atomic<int> sum{0};
    crew.run(50, [&](std::int64_t task, int) { sum += static_cast<int>(task); });
    BOOST_TEST(sum == 1225);
  }
}

BOOST_AUTO_TEST_CASE(a_task_s_exception_comes_out_and_the_crew_goes_on) {
  Crew crew(2);
  for (int round = 0; round < 100; ++round) {
    std::atomic<int> done{0};
    const auto body = [&](std::int64_t task, int) {
      ++done;
      if (task == 7) throw std::runtime_error("seven");
    };
    BOOST_CHECK_THROW(crew.run(20, body), std::runtime_error);
    BOOST_TEST(done == 20);
    BOOST_CHECK_NO_THROW(crew.run(5, body));
  }
}

BOOST_AUTO_TEST_CASE(blocks_cover_all_rows) {
  Crew crew(3);
  for (std::int64_t rows : {0, 1, 2, 11, 12, 13, 1000}) {
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(rows));
    parallel_rows(crew, rows, 1e6, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t row = first; row < last; ++row) ++seen[static_cast<std::size_t>(row)];
    });
    for (const auto& times : seen) BOOST_TEST(times == 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()
