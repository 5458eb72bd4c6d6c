#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <vector>

#include "thresher/engine/window.h"

using thresher::engine::Extent;
using thresher::engine::Window;
using thresher::engine::WindowCutter;
using thresher::engine::WindowRule;

namespace {

std::vector<Window> cut(const WindowRule& rule, const Extent& extent) {
  WindowCutter cutter(rule, extent);
  std::vector<Window> windows;
  Window window;
  while (cutter.next(window)) windows.push_back(window);
  return windows;
}

// What holds for every rule: each token that has something before it is scored once, in order, from fed rows.
void check_cover(const WindowRule& rule, const Extent& extent) {
  std::int64_t next = std::max<std::int64_t>(extent.score_from, extent.lead > 0 ? 0 : 1);
  for (const Window& window : cut(rule, extent)) {
    BOOST_TEST_REQUIRE(window.score_begin == next);
    BOOST_TEST_REQUIRE(window.score_end > window.score_begin);
    next = window.score_end;
    const bool lead = window.lead && extent.lead > 0;
    BOOST_TEST(window.begin >= 0);
    BOOST_TEST(window.end <= extent.tokens);
    BOOST_TEST(window.score_end <= window.end + 1);
    BOOST_TEST(window.score_begin >= window.begin + (lead ? 0 : 1));
    const std::int64_t fed = window.end - window.begin + (lead ? extent.lead : 0);
    BOOST_TEST(fed >= 1);
    BOOST_TEST(fed <= (extent.pair || rule.rolling ? rule.window : rule.window - 1));
  }
  if (next < extent.tokens) BOOST_TEST(extent.tokens <= 1);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(windows)

BOOST_AUTO_TEST_CASE(every_token_is_scored_once) {
  for (std::int64_t window : {3, 4, 7, 16})
    for (std::int64_t stride = 1; stride < window; ++stride)
      for (std::int64_t lead : {0, 1})
        for (std::int64_t tokens = 0; tokens < 60; ++tokens)
          for (bool rolling : {false, true}) {
            check_cover({window, stride, rolling}, {tokens, lead, 0, false});
            if (tokens > 3) check_cover({window, stride, false}, {tokens, lead, 3, true});
          }
}

BOOST_AUTO_TEST_CASE(a_short_document_is_one_window) {
  const auto windows = cut({8, 4, false}, {7, 1, 0, false});
  BOOST_TEST_REQUIRE(windows.size() == 1u);
  BOOST_TEST(windows[0].lead);
  BOOST_TEST(windows[0].end == 6);  // the last token is predicted, never fed
  BOOST_TEST(!WindowCutter({8, 4, false}, {7, 1, 0, false}).several());
  BOOST_TEST(WindowCutter({8, 4, false}, {8, 1, 0, false}).several());
}

BOOST_AUTO_TEST_CASE(later_windows_reach_back_as_far_as_they_can) {
  const auto windows = cut({8, 3, false}, {13, 1, 0, false});
  BOOST_TEST_REQUIRE(windows.size() == 3u);
  BOOST_TEST(windows[0].score_end == 7);
  BOOST_TEST(windows[1].begin == 3);
  BOOST_TEST(windows[1].score_end == 10);
  BOOST_TEST(windows[2].begin == 6);
  BOOST_TEST(windows[2].lead);
  BOOST_TEST(windows[2].score_end == 13);
}

BOOST_AUTO_TEST_CASE(rolling_windows_are_those_of_the_evaluation_harness) {
  // get_rolling_token_windows(range(10), prefix, max_seq_len=4, context_len=1):
  // ([p 0 1 2], [0 1 2 3]), ([3 4 5 6], [4 5 6 7]), ([5 6 7 8], [8 9])
  const auto windows = cut({4, 2, true}, {10, 1, 0, false});
  BOOST_TEST_REQUIRE(windows.size() == 3u);
  BOOST_TEST((windows[0].lead && windows[0].begin == 0 && windows[0].end == 3 && windows[0].score_end == 4));
  BOOST_TEST((!windows[1].lead && windows[1].begin == 3 && windows[1].end == 7 && windows[1].score_end == 8));
  BOOST_TEST((!windows[2].lead && windows[2].begin == 5 && windows[2].end == 9 && windows[2].score_begin == 8));
}

BOOST_AUTO_TEST_CASE(a_long_pair_keeps_the_end_of_its_context) {
  const auto windows = cut({8, 4, false}, {20, 1, 15, true});
  BOOST_TEST_REQUIRE(windows.size() == 1u);
  BOOST_TEST((!windows[0].lead && windows[0].begin == 11 && windows[0].end == 19 && windows[0].score_begin == 15));
}

BOOST_AUTO_TEST_CASE(a_single_token_without_lead_has_no_score) {
  BOOST_TEST(cut({8, 4, false}, {1, 0, 0, false}).empty());
  BOOST_TEST(cut({8, 4, false}, {1, 1, 0, false}).size() == 1u);
  BOOST_TEST(cut({8, 4, false}, {0, 1, 0, false}).empty());
}

BOOST_AUTO_TEST_SUITE_END()
