#include "model/expected_scores.h"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <nlohmann/json.hpp>

namespace thresher::model::test {

ExpectedScores read_expected(const std::string& name) {
  const base::Path root = THRESHER_SOURCE_DIR, shared = THRESHER_SHARED_DIR;
  const auto file = root / "tests/fixtures/scores" / (name + ".json");
  const auto json = nlohmann::json::parse(base::read_all(base::real_files(), file, 100'000'000));
  const std::string model = json.at("model");
  ExpectedScores expected;
  expected.model = model.starts_with("shared/") ? shared / model.substr(7) : root / model;
  for (const auto& scored : json.at("cases")) {
    for (const auto& entry : scored.at("documents")) {
      ExpectedDocument document;
      document.tokens = entry.at("tokens").get<std::vector<std::int32_t>>();
      const auto length = static_cast<std::int64_t>(document.tokens.size());
      if (length > scored.at("window").get<std::int64_t>()) continue;
      document.logprob = entry.at("logprob").get<std::vector<double>>();
      document.entropy = entry.at("entropy").get<std::vector<double>>();
      document.gap = entry.at("gap").get<std::vector<double>>();
      document.rank = entry.at("rank").get<std::vector<std::int32_t>>();
      expected.longest = std::max(expected.longest, length);
      expected.documents.push_back(std::move(document));
    }
  }
  return expected;
}

bool is_present(const ExpectedScores& expected) {
  if (std::filesystem::exists(expected.model)) return true;
  BOOST_TEST_MESSAGE("skipped: " << expected.model << " is not on this machine");
  return false;
}

void append(PackedBatch& batch, const std::vector<std::int32_t>& tokens) {
  const auto first = static_cast<std::int32_t>(batch.ids.size());
  batch.ids.insert(batch.ids.end(), tokens.begin(), tokens.end());
  batch.starts.push_back(static_cast<std::int32_t>(batch.ids.size()));
  for (std::size_t i = 1; i < tokens.size(); ++i) {
    batch.scored_rows.push_back(first + static_cast<std::int32_t>(i) - 1);
    batch.targets.push_back(tokens[i]);
  }
}

}  // namespace thresher::model::test
