// Two batches under way, as with devices that have memory of their own.
#include <boost/test/unit_test.hpp>

#include "model/expected_scores.h"
#include "model/naive_device.h"
#include "model/refusal.h"
#include "thresher/device/tracing.h"

namespace thresher::model::test {
namespace {

// Memory of its own, for all that its users know, and first logits of targets that are far from those in the tiles.
class Apart final : public device::TracingDevice {
 public:
  using TracingDevice::TracingDevice;
  bool host_memory() const override { return false; }
  void target_logits(const tensor::Tensor& hidden, const device::Weight& head, const tensor::Tensor& targets,
                     std::int64_t first_id, const tensor::Tensor& out) override {
    TracingDevice::target_logits(hidden, head, targets, first_id, out);
    for (std::int64_t r = 0; r < out.columns; ++r) out.as<float>()[r] -= 1000;
  }
};

struct Batches {
  const ExpectedScores expected = read_expected("model");
  std::vector<PackedBatch> all;
  std::vector<ScoredTokens> scores;  // of each alone, on the plain device
  std::int64_t longest = 0;

  Batches() {
    if (!is_present(expected)) return;
    for (std::size_t d = 0; d < std::min<std::size_t>(3, expected.documents.size()); ++d) {
      append(all.emplace_back(), expected.documents[d].tokens);
      longest = std::max(longest, static_cast<std::int64_t>(all.back().ids.size()));
    }
    const auto plain = make_naive_device();
    Transformer model(*plain, base::real_files(), expected.model, config(), options());
    BOOST_TEST(model.room() == 1);
    for (const PackedBatch& batch : all) model.score(batch, scores.emplace_back());
  }
  ModelConfig config() const { return read_config(base::real_files(), expected.model); }
  StageOptions options() const { return {.dtype = tensor::DType::f32, .capacity = {longest, longest, 2}}; }

  void check(const ScoredTokens& found, std::size_t batch) const {
    const ScoredTokens& alone = scores[batch];
    BOOST_TEST((found.logprob == alone.logprob), "batch " << batch);
    BOOST_TEST((found.rank == alone.rank), "batch " << batch);
    BOOST_TEST((found.entropy == alone.entropy), "batch " << batch);
    BOOST_TEST((found.top_id == alone.top_id), "batch " << batch);
    BOOST_TEST((found.top_logprob == alone.top_logprob), "batch " << batch);
  }
};

BOOST_FIXTURE_TEST_SUITE(under_way, Batches)

// Each is asked again about its targets when the next one has used the memory of its activations.
BOOST_AUTO_TEST_CASE(batches_are_taken_in_order_with_the_bits_of_each_alone) {
  if (all.empty()) return;
  const auto naive = make_naive_device();
  Apart device(*naive);
  Transformer model(device, base::real_files(), expected.model, config(), options());
  BOOST_TEST(model.room() == 2);
  ScoredTokens found;
  model.begin(all[0], {});
  for (std::size_t i = 1; i < all.size(); ++i) {
    model.begin(all[i], {});
    BOOST_TEST(model.full());
    check_refusal([&] { model.begin(all[0], {}); }, base::Exit::internal, "2 batches are under way");
    model.take(found);
    check(found, i - 1);
  }
  BOOST_TEST(model.done());
  model.take(found);
  check(found, all.size() - 1);
  check_refusal([&] { model.take(found); }, base::Exit::internal, "no batch");
}

BOOST_AUTO_TEST_CASE(room_for_longer_sequences_loses_nothing) {
  if (all.empty()) return;
  const auto naive = make_naive_device();
  Apart device(*naive);
  Transformer model(device, base::real_files(), expected.model, config(), options());
  ScoredTokens found;
  model.begin(all[0], {});
  model.begin(all[1], {});
  model.grow(longest + 1);
  BOOST_TEST(model.under_way() == 2);
  model.take(found);
  check(found, 0);
  model.begin(all[2], {});
  model.take(found);
  check(found, 1);
  model.take(found);
  check(found, 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::model::test
