// The schedules that every kernel has to give the same result on, and whether they miss a barrier.
#pragma once

#include <boost/test/unit_test.hpp>
#include <exception>
#include <string>

#include "device/emulation/block.h"

namespace thresher::device::emulation {

// Calls body() under every schedule, and leaves the first one behind.
template <class Body>
void with_schedules(Body body) {
  const Settings before = settings();
  for (const Order order : {Order::rising, Order::falling, Order::turns, Order::random})
    for (const unsigned seed : {1u, 2u, 3u}) {
      if (order != Order::random && seed != 1) continue;
      settings() = before;
      settings().order = order;
      settings().seed = seed;
      settings().late_copies = seed != 2;
      BOOST_TEST_CONTEXT("order " << static_cast<int>(order) << ", seed " << seed) {
        body();
      }
    }
  settings() = before;
}

// Whether some schedule shows that the kernel needs this barrier: right() is false or throws without it.
template <class Right>
bool is_needed(const std::string& barrier, Right right) {
  const Settings before = settings();
  bool wrong = false;
  settings().dropped_barrier = barrier;
  with_schedules([&] {
    try {
      wrong = wrong || !right();
    } catch (const std::exception&) {
      wrong = true;
    }
  });
  settings() = before;
  return wrong;
}

}  // namespace thresher::device::emulation
