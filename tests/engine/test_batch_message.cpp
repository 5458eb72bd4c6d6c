#include <boost/test/unit_test.hpp>

#include <algorithm>
#include <numeric>
#include <thread>

#include "engine/batch_message.h"
#include "thresher/base/check.h"
#include "thresher/comm/comm.h"

using namespace thresher;
using namespace thresher::engine;

namespace {

model::PackedBatch some_batch(std::int32_t tokens) {
  model::PackedBatch batch;
  for (std::int32_t t = 0; t < tokens; ++t) batch.ids.push_back(7 * t + 1);
  batch.starts = {0, tokens / 3, tokens};
  if (tokens > 1) batch.inherited = {0, tokens / 4};
  for (std::int32_t t = 0; t + 1 < tokens; t += 2) {
    batch.scored_rows.push_back(t);
    batch.targets.push_back(batch.ids[static_cast<std::size_t>(t) + 1]);
  }
  return batch;
}

void check_equal(const model::PackedBatch& a, const model::PackedBatch& b) {
  BOOST_TEST(a.ids == b.ids, boost::test_tools::per_element());
  BOOST_TEST(a.starts == b.starts, boost::test_tools::per_element());
  BOOST_TEST(a.scored_rows == b.scored_rows, boost::test_tools::per_element());
  BOOST_TEST(a.targets == b.targets, boost::test_tools::per_element());
  BOOST_TEST(a.inherited == b.inherited, boost::test_tools::per_element());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batch_message)

// Shorter than the pipe's buffers, exactly as long, one byte longer, and much longer.
BOOST_AUTO_TEST_CASE(messages_of_any_length_arrive_whole) {
  constexpr std::int64_t width = 24;
  const std::size_t one = batch_bytes(some_batch(30), width);
  for (const std::size_t capacity : {4 * one, one, one - 1, one / 7, std::size_t{64}}) {
    const auto ranks = comm::self_comm();
    const auto outlet = ranks->outlet(0, 5, capacity);
    const auto inlet = ranks->inlet(0, 5, capacity);
    std::thread writer([&] {
      Sender sender(*outlet);
      for (const std::int32_t tokens : {30, 1, 30, 0, 30}) {
        const model::PackedBatch batch = some_batch(tokens);
        const auto hidden = write_batch(batch, width, sender.begin(batch_bytes(batch, width)));
        std::iota(hidden.begin(), hidden.end(), static_cast<float>(tokens));
        sender.send();
      }
    });
    Receiver receiver(*inlet);
    for (const std::int32_t tokens : {30, 1, 30, 0, 30}) {
      model::PackedBatch batch;
      const auto hidden = read_batch(receiver.receive(), batch);
      check_equal(batch, some_batch(tokens));
      BOOST_TEST_REQUIRE(hidden.size() == static_cast<std::size_t>(tokens * width));
      for (std::size_t i = 0; i < hidden.size(); ++i)
        BOOST_TEST_REQUIRE(hidden[i] == static_cast<float>(tokens) + static_cast<float>(i));
      receiver.release();
    }
    writer.join();
  }
}

BOOST_AUTO_TEST_CASE(the_greatest_batch_is_foreseen) {
  for (const std::int32_t tokens : {1, 2, 30, 1000})
    BOOST_TEST(batch_bytes(some_batch(tokens), 16) <= batch_bytes(std::int64_t{tokens}, 16));
}

BOOST_AUTO_TEST_CASE(scores_come_back_as_they_were) {
  model::ScoredTokens scores{{-1.5f, -0.25f}, {3, 0}, {2.5f, 1.0f}, {5, 6, 7, 8}, {-1, -2, -3, -4}}, read;
  std::vector<std::byte> message(scores_bytes(scores));
  write_scores(scores, message);
  read_scores(message, read);
  BOOST_TEST(read.logprob == scores.logprob, boost::test_tools::per_element());
  BOOST_TEST(read.rank == scores.rank, boost::test_tools::per_element());
  BOOST_TEST(read.entropy == scores.entropy, boost::test_tools::per_element());
  BOOST_TEST(read.top_id == scores.top_id, boost::test_tools::per_element());
  BOOST_TEST(read.top_logprob == scores.top_logprob, boost::test_tools::per_element());
  BOOST_CHECK_THROW(read_scores(std::span(message).first(message.size() - 1), read), base::Error);
}

BOOST_AUTO_TEST_SUITE_END()
