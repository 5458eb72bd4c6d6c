#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <numeric>
#include <random>

#include "engine/batch_builder.h"
#include "thresher/engine/families.h"

using namespace thresher;
using namespace thresher::engine;
using text::TokenId;

namespace {

using Tokens = std::vector<TokenId>;

Tokens joined(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Tokens drawn(std::mt19937& random, std::size_t count, TokenId vocabulary = 1000) {
  Tokens tokens(count);
  for (TokenId& token : tokens) token = random() % vocabulary;
  return tokens;
}

std::vector<FedTokens> fed(const std::vector<Tokens>& documents, const Tokens& lead = {}) {
  std::vector<FedTokens> all;
  for (const Tokens& document : documents) all.push_back({lead, document});
  return all;
}

std::vector<std::int64_t> inherited_of(const Family& family) {
  std::vector<std::int64_t> inherited;
  for (const auto& member : family.members) inherited.push_back(member.inherited);
  return inherited;
}

// Documents that branch off one another, of at least `least` tokens each.
std::vector<Tokens> tree(std::mt19937& random, int count, std::size_t least, TokenId vocabulary) {
  std::vector<Tokens> documents;
  for (int i = 0; i < count; ++i) {
    Tokens tokens = documents.empty() || random() % 4 == 0 ? Tokens{} : documents[random() % documents.size()];
    tokens.resize(random() % (tokens.size() + 1));
    documents.push_back(joined(tokens, drawn(random, least + random() % 25, vocabulary)));
  }
  return documents;
}

// Every sequence once; each begins with what it says it inherits; no family is larger than the room it has.
void check(const std::vector<Family>& found, std::span<const FedTokens> sequences, const FamilyRoom& room) {
  std::vector<int> seen(sequences.size());
  for (const Family& family : found) {
    std::int64_t rows = 0;
    for (std::size_t i = 0; i < family.members.size(); ++i) {
      const auto [index, inherited] = family.members[i];
      const FedTokens& now = sequences[static_cast<std::size_t>(index)];
      ++seen[static_cast<std::size_t>(index)];
      rows += now.count() - inherited + (inherited > 0 ? 1 : 0);
      if (i == 0)
        BOOST_TEST(inherited == 0);
      else
        BOOST_TEST((inherited >= least_shared &&
                    inherited <= common_tokens(sequences[static_cast<std::size_t>(family.members[i - 1].index)], now)));
    }
    BOOST_TEST(rows == family.rows);
    BOOST_TEST((family.members.size() == 1 || rows <= std::max(room.budget, room.most)));
  }
  BOOST_TEST(std::all_of(seen.begin(), seen.end(), [](int count) { return count == 1; }));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(families_of_sequences)

BOOST_AUTO_TEST_CASE(choices_share_their_context) {
  std::mt19937 random(1);
  const Tokens lead{1, 2}, one = drawn(random, 90), other = drawn(random, 50);
  std::vector<Tokens> documents;
  for (const TokenId end : {2000, 2001, 2002}) {
    documents.push_back(joined(one, {end, 7, 8}));
    documents.push_back(joined(other, {end}));
  }
  documents.push_back(documents.front());                // twice the same
  documents.push_back(drawn(random, 60));                // alone
  documents.push_back({one.begin(), one.begin() + 30});  // a beginning of others
  documents.push_back({5});
  const auto sequences = fed(documents, lead);
  const auto found = families(sequences, {500, 500});
  check(found, sequences, {500, 500});
  BOOST_TEST_REQUIRE(found.size() == 4u);
  BOOST_TEST(inherited_of(found[0]) == (std::vector<std::int64_t>{0, 32, 95, 92, 92}),
             boost::test_tools::per_element());
  BOOST_TEST(inherited_of(found[1]) == (std::vector<std::int64_t>{0, 52, 52}), boost::test_tools::per_element());
  BOOST_TEST(found[0].rows == 32 + (63 + 1) + 1 + 2 * (3 + 1));
  // A few tokens in common are no family.
  BOOST_TEST(families(fed({{1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 9}}), {500, 500}).size() == 2u);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_cut) {
  std::mt19937 random(2);
  const Tokens context = drawn(random, 100);
  std::vector<Tokens> documents;
  for (int i = 0; i < 40; ++i) documents.push_back(joined(context, drawn(random, 10)));
  const auto sequences = fed(documents);
  struct Expected {
    FamilyRoom room;
    std::size_t pieces;
  };
  for (const auto& [room, pieces] :
       {Expected{{1000, 1000}, 1}, Expected{{200, 200}, 5}, Expected{{200, 440}, 2}, Expected{{50, 50}, 40}}) {
    const auto found = families(sequences, room);
    check(found, sequences, room);
    BOOST_TEST(found.size() == pieces);
  }
}

// At any length ten that share nine tenths take a third of the rows that they take alone, or less.
BOOST_AUTO_TEST_CASE(long_sequences_find_room) {
  std::mt19937 random(5);
  for (const std::size_t length : {300u, 900u, 1100u, 3000u, 8000u, 20000u}) {
    const Tokens context = drawn(random, length * 9 / 10);
    std::vector<Tokens> documents;
    for (int i = 0; i < 10; ++i) documents.push_back(joined(context, drawn(random, length / 10)));
    const auto sequences = fed(documents);
    const FamilyRoom room{1024, most_rows(1024, static_cast<std::int64_t>(length))};
    const auto found = families(sequences, room);
    check(found, sequences, room);
    std::int64_t rows = 0;
    for (const Family& family : found) rows += family.rows;
    BOOST_TEST(3 * rows < static_cast<std::int64_t>(10 * length));
  }
}

BOOST_AUTO_TEST_CASE(any_tree_is_covered) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const std::vector<Tokens> documents = tree(random, 80, 1, round % 2 ? 2 : 1000);
    const Tokens lead(random() % 3, 1);
    const auto sequences = fed(documents, lead);
    const FamilyRoom room{static_cast<std::int64_t>(1 + random() % 200), static_cast<std::int64_t>(random() % 300)};
    const auto found = families(sequences, room);
    check(found, sequences, room);
    std::vector<std::int32_t> firsts;
    for (const Family& family : found)
      firsts.push_back(std::min_element(family.members.begin(), family.members.end(), [](auto& a, auto& b) {
                         return a.index < b.index;
                       })->index);
    BOOST_TEST(std::is_sorted(firsts.begin(), firsts.end()));
  }
}

// A batch of a family, read back as the transformer reads it: every asked token's entry is a row that stands for the
// token before it with all that comes before that, and asks for it; nothing is computed or asked twice.
BOOST_AUTO_TEST_CASE(a_batch_asks_for_every_token) {
  std::mt19937 random(4);
  BatchBuilder builder;
  for (int round = 0; round < 60; ++round) {
    const std::vector<Tokens> documents = tree(random, 30, 2, round % 2 ? 2 : 1000);
    const Tokens lead(random() % 3, 1);
    const bool sharing = round % 4 != 0;
    builder.clear();
    std::vector<FedTokens> sequences;  // the last token of a document is asked for only
    for (const Tokens& document : documents)
      sequences.push_back({lead, std::span(document).first(document.size() - 1)});
    std::vector<Tokens> before;  // of each row: all tokens up to it
    std::vector<std::pair<Tokens, TokenId>> asked;
    std::int64_t budget = 0;
    for (const Family& family : families(sequences, {400, 400})) {
      budget += family.rows;
      for (const auto& [index, inherited] : family.members) {
        const auto at = static_cast<std::size_t>(index);
        const std::int64_t taken = sharing ? inherited : 0;
        const Tokens all = joined(lead, {sequences[at].body.begin(), sequences[at].body.end()});
        for (auto row = taken; row < static_cast<std::int64_t>(all.size()); ++row)
          before.emplace_back(all.begin(), all.begin() + row + 1);
        const std::size_t first = lead.empty() ? 1 : 0, from = std::min(first + random() % 5, documents[at].size());
        const std::span<const TokenId> targets = std::span<const TokenId>(documents[at]).subspan(from);
        builder.add(sequences[at], taken, static_cast<std::int64_t>(lead.size() + from) - 1, targets);
        for (std::size_t t = from; t < documents[at].size(); ++t)
          asked.emplace_back(Tokens(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(lead.size() + t)),
                             documents[at][t]);
      }
    }
    const model::PackedBatch& batch = builder.batch();
    BOOST_TEST(batch.inherited.empty() == !sharing);
    BOOST_TEST_REQUIRE(before.size() == batch.ids.size());
    for (std::size_t row = 0; row < before.size(); ++row)
      BOOST_TEST_REQUIRE(static_cast<TokenId>(batch.ids[row]) == before[row].back());
    std::vector<std::int32_t> entries = builder.take_entries();
    if (!sharing) {
      entries.resize(asked.size());
      std::iota(entries.begin(), entries.end(), 0);
    }
    BOOST_TEST_REQUIRE(entries.size() == asked.size());
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const auto entry = static_cast<std::size_t>(entries[i]);
      BOOST_TEST_REQUIRE((before[static_cast<std::size_t>(batch.scored_rows[entry])] == asked[i].first));
      BOOST_TEST_REQUIRE(static_cast<TokenId>(batch.targets[entry]) == asked[i].second);
    }
    std::vector<std::pair<std::int32_t, std::int32_t>> questions;
    for (std::size_t i = 0; i < batch.targets.size(); ++i)
      questions.emplace_back(batch.scored_rows[i], batch.targets[i]);
    std::sort(questions.begin(), questions.end());
    BOOST_TEST((std::adjacent_find(questions.begin(), questions.end()) == questions.end()));
    if (!sharing) continue;
    BOOST_TEST(static_cast<std::int64_t>(batch.ids.size()) <= budget);
    BOOST_TEST(static_cast<std::int64_t>(batch.targets.size()) <= budget);
  }
}

BOOST_AUTO_TEST_SUITE_END()
