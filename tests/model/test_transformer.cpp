#include <boost/test/unit_test.hpp>
#include <cmath>

#include "model/expected_scores.h"
#include "model/naive_device.h"
#include "thresher/model/transformer.h"

namespace thresher::model::test {
namespace {

constexpr const char* fixtures[] = {"llama_dynamic", "llama_geglu",  "mistral",        "qwen2",
                                    "qwen3",         "qwen3_layers", "stories260K-hf", "tinystories656K"};

struct Difference {
  double greatest = 0, sum = 0, entropy = 0;
  std::int64_t count = 0, wrong_ranks = 0;
};

// The largest differences of one batch per document. A rank may differ where another logit is nearer than `blur`.
Difference compare(Transformer& model, const ExpectedScores& expected, double blur) {
  Difference difference;
  ScoredTokens scores;
  for (const ExpectedDocument& document : expected.documents) {
    PackedBatch batch;
    append(batch, document.tokens);
    model.score(batch, scores);
    BOOST_REQUIRE_EQUAL(scores.logprob.size(), document.logprob.size());
    for (std::size_t i = 0; i < document.logprob.size(); ++i) {
      const double error = std::abs(static_cast<double>(scores.logprob[i]) - document.logprob[i]);
      difference.greatest = std::max(difference.greatest, std::isfinite(error) ? error : 1e9);
      difference.sum += error;
      difference.entropy =
          std::max(difference.entropy, std::abs(static_cast<double>(scores.entropy[i]) - document.entropy[i]));
      difference.wrong_ranks += scores.rank[i] != document.rank[i] && document.gap[i] > blur;
      ++difference.count;
    }
  }
  BOOST_REQUIRE(difference.count > 0);
  return difference;
}

Capacity capacity_of(const ExpectedScores& expected) {
  return {expected.longest, expected.longest, 0};
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transformer)

BOOST_AUTO_TEST_CASE(exact_arithmetic_agrees_with_the_reference) {
  for (const char* name : fixtures) {
    const ExpectedScores expected = read_expected(name);
    if (!is_present(expected)) continue;
    const auto device = make_naive_device();
    const ModelConfig config = read_config(base::real_files(), expected.model);
    Transformer model(*device, base::real_files(), expected.model, config, tensor::DType::f32, capacity_of(expected));
    const Difference difference = compare(model, expected, 1e-4);
    BOOST_TEST_MESSAGE(name << ": " << difference.count << " tokens, max |difference| " << difference.greatest);
    BOOST_TEST_CONTEXT(name) {
      BOOST_CHECK_LE(difference.greatest, 5e-5);
      BOOST_CHECK_LE(difference.entropy, 5e-5);
      BOOST_CHECK_EQUAL(difference.wrong_ranks, 0);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
