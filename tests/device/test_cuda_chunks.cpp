#include <boost/test/unit_test.hpp>

#include "device/cuda/chunks.h"
#include "thresher/base/check.h"
#include "thresher/device/softmax.h"

namespace thresher::device::cuda {
namespace {

BOOST_AUTO_TEST_SUITE(cuda_chunks)

BOOST_AUTO_TEST_CASE(memory_is_bounded_at_any_shape) {
  for (const std::int64_t rows : {1, 7, 128, 4096, 5000, 16384, 1 << 20})
    for (const std::int64_t outputs : {1, 1023, 1024, 1025, 32000, 128256, 262144, 4 << 20})
      for (const std::int64_t inputs : {16, 4096, 16384, 53248})
        for (const std::int64_t element : {2, 4}) {
          const ScorePlan plan =
              plan_score({.rows = rows, .outputs = outputs, .inputs = inputs, .element_bytes = element});
          BOOST_REQUIRE(plan.bytes() <= most_score_bytes);
          BOOST_REQUIRE(plan.tiles * vocabulary_tile >= outputs);
          BOOST_REQUIRE((plan.tiles - 1) * vocabulary_tile < outputs);
          BOOST_REQUIRE(plan.rows >= 1);
          BOOST_REQUIRE(plan.rows <= most_chunk_rows);
          BOOST_REQUIRE(plan.rows * plan.chunks >= rows);
          BOOST_REQUIRE(plan.rows * (plan.chunks - 1) < rows);
          BOOST_REQUIRE(plan.logits_bytes >= plan.rows * vocabulary_tile * 4);
          BOOST_REQUIRE(plan.parts_bytes >= plan.rows * plan.tiles * 16);
          BOOST_REQUIRE(plan.head_bytes >= vocabulary_tile * inputs * element);
        }
}

BOOST_AUTO_TEST_CASE(logits_at_a_time_keep_the_contract) {
  const ScorePlan plan = plan_score({.rows = 1 << 20, .outputs = 152064, .inputs = 4096});
  BOOST_TEST(logits_buffers * plan.logits_bytes <= 64 << 20);
}

BOOST_AUTO_TEST_CASE(ordinary_heads_have_whole_chunks) {
  const ScorePlan plan = plan_score({.rows = 16384, .outputs = 128256, .inputs = 4096});
  BOOST_TEST(plan.rows == most_chunk_rows);
  BOOST_TEST(plan.chunks == 4);
  BOOST_TEST(plan.tiles == 126);
  BOOST_TEST(plan.bytes() < 64 << 20);
}

BOOST_AUTO_TEST_CASE(few_rows_take_little) {
  const ScorePlan plan = plan_score({.rows = 3, .outputs = 5000, .inputs = 64});
  BOOST_TEST(plan.rows == 3);
  BOOST_TEST(plan.chunks == 1);
  BOOST_TEST(plan.logits_bytes == 3 * vocabulary_tile * 4);
}

BOOST_AUTO_TEST_CASE(tight_limits_make_more_chunks_until_nothing_fits) {
  const ScoreShape shape{.rows = 5000, .outputs = 32000, .inputs = 64};
  std::int64_t before = plan_score(shape).rows;
  for (std::int64_t limit : {16 << 20, 8 << 20, 4 << 20, 1 << 20}) {
    const ScorePlan plan = plan_score(shape, limit);
    BOOST_TEST(plan.bytes() <= limit);
    BOOST_TEST(plan.rows < before);
    BOOST_TEST((plan.rows < 128 || plan.rows % 128 == 0));
    before = plan.rows;
  }
  BOOST_CHECK_EXCEPTION(plan_score(shape, 1 << 17), base::Error,
                        [](const base::Error& error) { return error.code() == base::Exit::internal; });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
