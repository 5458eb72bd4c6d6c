#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>

#include "device/order_changing.h"
#include "model/expected_scores.h"
#include "model/naive_device.h"
#include "thresher/model/transformer.h"

namespace thresher::model::test {
namespace {

constexpr const char* fixtures[] = {"llama_dynamic", "llama_geglu",  "model",          "mistral",        "qwen2",
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

// Runs a model of the fixtures on a device.
template <class Action>
void with_model(const std::string& name, device::Device& device, tensor::DType dtype, std::int64_t tokens,
                const Action& action) {
  const ExpectedScores expected = read_expected(name);
  if (!is_present(expected)) return;
  const ModelConfig config = read_config(base::real_files(), expected.model);
  const Capacity capacity{std::max(tokens, expected.longest), expected.longest, 3};
  Transformer model(device, base::real_files(), expected.model, config, {.dtype = dtype, .capacity = capacity});
  BOOST_TEST_CONTEXT(name << " in " << tensor::name_of(dtype)) action(model, expected);
}

// Every number of one document, as bytes.
std::string bits_of(const ScoredTokens& scores, std::size_t first, std::size_t count) {
  std::string bits;
  const auto add = [&](const auto& values, std::size_t width) {
    bits.append(reinterpret_cast<const char*>(values.data() + first * width), count * width * sizeof values[0]);
  };
  add(scores.logprob, 1);
  add(scores.rank, 1);
  add(scores.entropy, 1);
  add(scores.top_id, 3);
  add(scores.top_logprob, 3);
  return bits;
}

std::vector<std::string> alone(Transformer& model, const ExpectedScores& expected) {
  std::vector<std::string> bits;
  ScoredTokens scores;
  for (const ExpectedDocument& document : expected.documents) {
    PackedBatch batch;
    append(batch, document.tokens);
    model.score(batch, scores);
    bits.push_back(bits_of(scores, 0, scores.logprob.size()));
  }
  return bits;
}

// Scores the documents in this order, packed into batches of at most `budget` tokens: those that differ from `bits`.
std::vector<std::string> changed_when_packed(Transformer& model, const ExpectedScores& expected,
                                             const std::vector<std::size_t>& order, std::size_t budget,
                                             const std::vector<std::string>& bits) {
  std::vector<std::string> changed;
  ScoredTokens scores;
  for (std::size_t next = 0; next < order.size();) {
    PackedBatch batch;
    std::vector<std::size_t> packed;
    for (; next < order.size(); ++next) {
      const auto& tokens = expected.documents[order[next]].tokens;
      if (!packed.empty() && batch.ids.size() + tokens.size() > budget) break;
      append(batch, tokens);
      packed.push_back(order[next]);
    }
    model.score(batch, scores);
    std::size_t first = 0;
    for (const std::size_t d : packed) {
      const std::size_t count = expected.documents[d].logprob.size();
      if (bits_of(scores, first, count) != bits[d])
        changed.push_back("document " + std::to_string(d) + " of " + std::to_string(count) + " tokens in a batch of " +
                          std::to_string(batch.ids.size()));
      first += count;
    }
  }
  return changed;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(transformer)

BOOST_AUTO_TEST_CASE(exact_arithmetic_agrees_with_the_reference) {
  const auto device = make_naive_device();
  for (const char* name : fixtures)
    with_model(name, *device, tensor::DType::f32, 0, [&](Transformer& model, const ExpectedScores& expected) {
      const Difference difference = compare(model, expected, 1e-4);
      BOOST_TEST_MESSAGE(name << ": " << difference.count << " tokens, max |difference| " << difference.greatest);
      BOOST_CHECK_LE(difference.greatest, 5e-5);
      BOOST_CHECK_LE(difference.entropy, 5e-5);
      BOOST_CHECK_EQUAL(difference.wrong_ranks, 0);
    });
}

BOOST_AUTO_TEST_CASE(the_cpu_in_f32_agrees_with_the_reference) {
  const auto device = device::make_cpu_device({.threads = 2});
  for (const char* name : fixtures)
    with_model(name, *device, tensor::DType::f32, 0, [&](Transformer& model, const ExpectedScores& expected) {
      const Difference difference = compare(model, expected, 4e-4);
      BOOST_TEST_MESSAGE(name << ": f32 max |difference| " << difference.greatest);
      BOOST_CHECK_LE(difference.greatest, 2e-4);
      BOOST_CHECK_LE(difference.entropy, 2e-4);
      BOOST_CHECK_EQUAL(difference.wrong_ranks, 0);
    });
}

BOOST_AUTO_TEST_CASE(the_cpu_in_bf16_is_near_the_reference) {
  const auto device = device::make_cpu_device({.threads = 2});
  for (const char* name : fixtures)
    with_model(name, *device, tensor::DType::bf16, 0, [&](Transformer& model, const ExpectedScores& expected) {
      const Difference difference = compare(model, expected, 1);
      const double mean = difference.sum / static_cast<double>(difference.count);
      BOOST_TEST_MESSAGE(name << ": bf16 mean |difference| " << mean << ", max " << difference.greatest);
      BOOST_CHECK_LE(mean, 2e-2);
      BOOST_CHECK_GT(difference.greatest, 1e-5);  // bf16 really was used
    });
}

// Errors are a hundred times those of bf16 at most; what they are is in the message.
BOOST_AUTO_TEST_CASE(the_cpu_in_int8_is_near_the_reference) {
  const auto device = device::make_cpu_device({.threads = 2});
  for (const char* name : fixtures)
    with_model(name, *device, tensor::DType::i8, 0, [&](Transformer& model, const ExpectedScores& expected) {
      const Difference difference = compare(model, expected, 1);
      const double mean = difference.sum / static_cast<double>(difference.count);
      BOOST_TEST_MESSAGE(name << ": int8 mean |difference| " << mean << ", max " << difference.greatest);
      BOOST_CHECK_LE(mean, 0.1);
      BOOST_CHECK_GT(mean, 1e-4);  // int8 really was used
    });
}

// A document's numbers have the same bits alone and in any company, in any order, with any number of threads.
BOOST_AUTO_TEST_CASE(a_document_does_not_see_its_company) {
  std::mt19937 random(7);
  for (const tensor::DType dtype : {tensor::DType::f32, tensor::DType::bf16, tensor::DType::i8}) {
    for (const char* name : fixtures) {
      std::vector<std::string> bits;
      for (const int threads : {1, 2}) {
        const auto device = device::make_cpu_device({.threads = threads});
        with_model(name, *device, dtype, 700, [&](Transformer& model, const ExpectedScores& expected) {
          if (bits.empty()) bits = alone(model, expected);
          BOOST_CHECK(alone(model, expected) == bits);
          std::vector<std::size_t> order(expected.documents.size());
          std::iota(order.begin(), order.end(), 0);
          for (const std::size_t budget : {256u, 700u, 333u}) {
            std::shuffle(order.begin(), order.end(), random);
            for (const std::string& change : changed_when_packed(model, expected, order, budget, bits))
              BOOST_ERROR("other bits: " << change);
          }
        });
      }
    }
  }
}

// Two documents of the same beginning, and the second one's rows behind it as a batch of both computes them.
void check_shared_beginning(Transformer& model, const std::vector<std::int32_t>& tokens) {
  const std::size_t length = tokens.size(), shared = length / 2, own = length - shared;
  std::vector<std::int32_t> other = tokens;
  std::reverse(other.begin() + static_cast<std::ptrdiff_t>(shared), other.end());
  PackedBatch one, two;
  append(one, other);
  append(two, tokens);
  two.ids.insert(two.ids.end(), other.begin() + static_cast<std::ptrdiff_t>(shared), other.end());
  two.starts.push_back(static_cast<std::int32_t>(length + own));
  two.inherited = {0, static_cast<std::int32_t>(shared)};
  // The last common row is asked about both documents' next token.
  for (std::size_t i = shared; i < length; ++i) {
    two.scored_rows.push_back(static_cast<std::int32_t>(i == shared ? shared - 1 : length + i - shared - 1));
    two.targets.push_back(other[i]);
  }
  ScoredTokens alone, together;
  model.score(one, alone);
  model.score(two, together);
  BOOST_CHECK(bits_of(together, length - 1, own) == bits_of(alone, shared - 1, own));
}

BOOST_AUTO_TEST_CASE(a_shared_beginning_is_computed_once_with_the_same_bits) {
  const auto cpu = device::make_cpu_device({.threads = 2}), naive = make_naive_device();
  for (const char* name : fixtures)
    for (const auto& [device, dtype] :
         {std::pair(cpu.get(), tensor::DType::f32), std::pair(cpu.get(), tensor::DType::bf16),
          std::pair(cpu.get(), tensor::DType::i8), std::pair(naive.get(), tensor::DType::f32)})
      with_model(name, *device, dtype, 1000, [&](Transformer& model, const ExpectedScores& expected) {
        if (model.config().rope.kind == RopeKind::dynamic) {
          PackedBatch batch{{1, 2, 3}, {0, 2, 3}, {2}, {5}, {0, 2}};
          ScoredTokens scores;
          BOOST_CHECK_THROW(model.score(batch, scores), base::Error);
          return;
        }
        for (const ExpectedDocument& document : expected.documents)
          if (document.tokens.size() > 3 && document.tokens.size() < (device == naive.get() ? 60u : 500u))
            check_shared_beginning(model, document.tokens);
      });
}

// Where the order of a sum depends on the size of the batch, the check above would tell.
BOOST_AUTO_TEST_CASE(a_change_of_order_is_seen) {
  const auto device = device::make_cpu_device({.threads = 1});
  device::OrderChangingDevice changing(*device, 256);
  for (const tensor::DType dtype : {tensor::DType::f32, tensor::DType::bf16})
    with_model("model", changing, dtype, 700, [&](Transformer& model, const ExpectedScores& expected) {
      std::vector<std::size_t> order(expected.documents.size());
      std::iota(order.begin(), order.end(), 0);
      const std::vector<std::string> bits = alone(model, expected);
      BOOST_TEST(!changed_when_packed(model, expected, order, 700, bits).empty());
    });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
