#include <boost/test/unit_test.hpp>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/naive_device.h"
#include "model/rope.h"
#include "thresher/base/file.h"

namespace thresher::model::test {
namespace {

ModelConfig dynamic_config() {
  return parse_config(R"({"architectures": ["LlamaForCausalLM"], "num_hidden_layers": 1, "hidden_size": 32,
    "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 300, "max_position_embeddings": 8,
    "rope_scaling": {"type": "dynamic", "factor": 2.0}})",
                      "config.json");
}

// Row `row` of a table holds these frequencies' angles at `position`.
void check_row(const RopeTable& table, std::int64_t row, const std::vector<double>& frequencies,
               std::int64_t position) {
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = static_cast<double>(position) * frequencies[i];
    BOOST_TEST_CONTEXT("row " << row << ", position " << position << ", pair " << i) {
      BOOST_CHECK_SMALL(static_cast<double>(table.cos().row<float>(row)[i]) - std::cos(angle), 1e-6);
      BOOST_CHECK_SMALL(static_cast<double>(table.sin().row<float>(row)[i]) - std::sin(angle), 1e-6);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rope)

// Expected numbers from transformers (data/make_rope.py), in its float32.
BOOST_AUTO_TEST_CASE(every_kind_agrees_with_transformers) {
  const base::Path file = base::Path(THRESHER_SOURCE_DIR) / "tests/model/data/rope.json";
  const auto cases = nlohmann::json::parse(base::read_all(base::real_files(), file, 10'000'000)).at("cases");
  BOOST_REQUIRE_EQUAL(cases.size(), 25);
  for (const auto& expected : cases) {
    const std::string text = expected.at("config").dump();
    const ModelConfig config = parse_config(text, "config.json");
    const auto length = expected.at("length").get<std::int64_t>();
    const std::vector<double> frequencies = inverse_frequencies(config, length);
    const auto values = expected.at("inverse").get<std::vector<double>>();
    BOOST_TEST_CONTEXT(text << " length " << length) {
      BOOST_CHECK_CLOSE(rope_magnitude(config), expected.at("magnitude").get<double>(), 1e-9);
      BOOST_REQUIRE_EQUAL(frequencies.size(), values.size());
      for (std::size_t i = 0; i < values.size(); ++i)
        BOOST_CHECK_CLOSE(frequencies[i], values[i], 1e-4);  // percent: 1e-6 relative
    }
  }
}

BOOST_AUTO_TEST_CASE(plain_positions_are_rows) {
  ModelConfig config = dynamic_config();
  config.rope = {};
  const auto device = make_naive_device();
  RopeTable table(*device, config, {.tokens = 40, .longest = 20, .top_k = 0});
  BOOST_CHECK_EQUAL(table.cos().rows, 20);
  std::vector<std::int32_t> rows;
  table.assign(std::vector<std::int32_t>{0, 3, 5}, {}, rows);
  BOOST_TEST(rows == (std::vector<std::int32_t>{0, 1, 2, 0, 1}), boost::test_tools::per_element());
  for (std::int64_t position = 0; position < 20; ++position)
    check_row(table, position, inverse_frequencies(config, 20), position);
}

// Beyond the model's positions the angles depend on the sequence's length: each length has its own rows, whatever
// stands beside it in the batch and whatever came before.
BOOST_AUTO_TEST_CASE(long_sequences_have_their_own_angles) {
  const ModelConfig config = dynamic_config();
  const auto device = make_naive_device();
  RopeTable table(*device, config, {.tokens = 30, .longest = 20, .top_k = 0});
  const std::vector<std::vector<std::int32_t>> batches{{0, 8, 17, 19}, {0, 9, 19, 28}, {0, 20, 30},
                                                       {0, 20, 29},    {0, 9, 18},     {0, 4}};
  for (const auto& starts : batches) {
    std::vector<std::int32_t> rows;
    table.assign(starts, {}, rows);
    BOOST_REQUIRE_EQUAL(rows.size(), static_cast<std::size_t>(starts.back()));
    for (std::size_t i = 0; i + 1 < starts.size(); ++i) {
      const std::int64_t length = starts[i + 1] - starts[i];
      const std::vector<double> frequencies = inverse_frequencies(config, length);
      for (std::int64_t position = 0; position < length; ++position)
        check_row(table, rows[static_cast<std::size_t>(starts[i] + position)], frequencies, position);
    }
  }
  BOOST_CHECK_GT(std::abs(inverse_frequencies(config, 9)[5] - inverse_frequencies(config, 20)[5]), 1e-4);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace thresher::model::test
