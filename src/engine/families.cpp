#include "thresher/engine/families.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "thresher/device/row_runs.h"

namespace thresher::engine {
namespace {

using text::TokenId;

// Of the places that a sequence's rows come from. More say that rows fork at every other token, and cost time.
constexpr std::size_t most_runs = 32;

TokenId token(const FedTokens& fed, std::int64_t i) {
  const auto lead = static_cast<std::int64_t>(fed.lead.size());
  return i < lead ? fed.lead[static_cast<std::size_t>(i)] : fed.body[static_cast<std::size_t>(i - lead)];
}

// The same for sequences that may share; of its first tokens only.
std::uint64_t beginning(const FedTokens& fed) {
  std::uint64_t hash = 0;
  for (std::int64_t i = 0; i < least_shared; ++i) {
    hash = (hash ^ token(fed, i)) * 0x9e3779b97f4a7c15;
    hash ^= hash >> 29;
  }
  return hash;
}

bool before(const FedTokens& a, const FedTokens& b) {
  const std::int64_t common = common_tokens(a, b);
  if (common == b.count()) return false;
  return common == a.count() || token(a, common) < token(b, common);
}

class Cutter {
 public:
  Cutter(std::span<const FedTokens> sequences, const FamilyRoom& room, std::vector<Family>& out)
      : sequences_(sequences), room_(room), out_(out) {}

  // One after another in the order of their tokens.
  void add(std::int32_t index) {
    const FedTokens& fed = sequences_[static_cast<std::size_t>(index)];
    std::int64_t inherited = previous_ ? common_tokens(*previous_, fed) : 0;
    if (inherited < least_shared || chain_.rows().size() >= most_runs) inherited = 0;
    std::int64_t rows = fed.count() - inherited + (inherited > 0 ? 1 : 0);
    if (!previous_ || inherited == 0 || out_.back().rows + rows > limit_) {
      inherited = 0;
      rows = fed.count();
      limit_ = std::max(room_.budget, std::min(room_.most, 4 * rows));
      out_.emplace_back();
      placed_ = 0;
    }
    out_.back().members.push_back({index, inherited});
    out_.back().rows += rows;
    chain_.next(inherited, placed_, fed.count() - inherited);
    placed_ += fed.count() - inherited;
    previous_ = &fed;
  }
  void end() { previous_ = nullptr; }

 private:
  std::span<const FedTokens> sequences_;
  FamilyRoom room_;
  std::vector<Family>& out_;
  const FedTokens* previous_ = nullptr;
  std::int64_t limit_ = 0, placed_ = 0;
  device::RowChain chain_;
};

}  // namespace

std::int64_t common_tokens(const FedTokens& a, const FedTokens& b) {
  const std::int64_t most = std::min(a.count(), b.count());
  std::int64_t common = 0;
  if (a.lead.size() == b.lead.size()) {
    const auto lead = std::mismatch(a.lead.begin(), a.lead.end(), b.lead.begin()).first - a.lead.begin();
    if (lead < static_cast<std::int64_t>(a.lead.size())) return lead;
    const auto body = std::mismatch(a.body.begin(), a.body.end(), b.body.begin(), b.body.end()).first;
    return lead + (body - a.body.begin());
  }
  while (common < most && token(a, common) == token(b, common)) ++common;
  return common;
}

// As much again, for what ten sequences have that share nine tenths of it.
std::int64_t most_rows(std::int64_t budget, std::int64_t longest) {
  constexpr std::int64_t most_beside = 8192;
  return std::max(budget, longest + std::min(longest, most_beside));
}

std::vector<Family> families(std::span<const FedTokens> sequences, const FamilyRoom& room) {
  std::vector<std::pair<std::uint64_t, std::int32_t>> order;  // by beginnings
  std::vector<Family> found;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    if (sequences[i].count() >= least_shared)
      order.emplace_back(beginning(sequences[i]), static_cast<std::int32_t>(i));
    else
      found.push_back({{{static_cast<std::int32_t>(i), 0}}, sequences[i].count()});
  }
  std::sort(order.begin(), order.end());
  Cutter cutter(sequences, room, found);
  for (auto first = order.begin(); first != order.end();) {
    const auto last = std::find_if(first, order.end(), [&](const auto& one) { return one.first != first->first; });
    std::stable_sort(first, last, [&](const auto& a, const auto& b) {
      return before(sequences[static_cast<std::size_t>(a.second)], sequences[static_cast<std::size_t>(b.second)]);
    });
    for (; first != last; ++first) cutter.add(first->second);
    cutter.end();
  }
  const auto least = [](const Family& family) {
    return std::min_element(family.members.begin(), family.members.end(),
                            [](const auto& a, const auto& b) { return a.index < b.index; })
        ->index;
  };
  std::vector<std::pair<std::int32_t, std::size_t>> by_index;
  for (std::size_t f = 0; f < found.size(); ++f) by_index.emplace_back(least(found[f]), f);
  std::sort(by_index.begin(), by_index.end());
  std::vector<Family> sorted;
  for (const auto& [index, f] : by_index) sorted.push_back(std::move(found[f]));
  return sorted;
}

}  // namespace thresher::engine
