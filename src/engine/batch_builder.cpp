#include "engine/batch_builder.h"

#include <algorithm>

namespace thresher::engine {

void BatchBuilder::clear() {
  batch_.ids.clear();
  batch_.starts.assign(1, 0);
  batch_.scored_rows.clear();
  batch_.targets.clear();
  batch_.inherited.clear();
  first_entry_.clear();
  more_entries_.clear();
  entries_.clear();
  visible_keys_ = 0;
  asked_ = inherited_ = 0;
}

// Until now no sequence shared rows, so that every scored row had one target, and rows rise.
void BatchBuilder::begin_sharing() {
  batch_.inherited.assign(static_cast<std::size_t>(batch_.sequences()), 0);
  first_entry_.assign(batch_.ids.size(), -1);
  for (std::size_t i = 0; i < batch_.scored_rows.size(); ++i) {
    first_entry_[static_cast<std::size_t>(batch_.scored_rows[i])] = static_cast<std::int32_t>(i);
    entries_.push_back(static_cast<std::int32_t>(i));
  }
}

// A row that is asked the same twice answers once.
void BatchBuilder::ask(std::int32_t row, std::int32_t target) {
  const auto next = static_cast<std::int32_t>(batch_.targets.size());
  std::int32_t* entry = &first_entry_[static_cast<std::size_t>(row)];
  if (*entry >= 0 && batch_.targets[static_cast<std::size_t>(*entry)] != target)
    entry = &more_entries_.try_emplace({row, target}, -1).first->second;
  if (*entry < 0) {
    *entry = next;
    batch_.scored_rows.push_back(row);
    batch_.targets.push_back(target);
  }
  entries_.push_back(*entry);
}

void BatchBuilder::add(const FedTokens& fed, std::int64_t inherited, std::int64_t first_row,
                       std::span<const text::TokenId> targets) {
  if (inherited > 0 && batch_.inherited.empty()) begin_sharing();
  const bool sharing = !batch_.inherited.empty();
  const std::int64_t first = batch_.starts.back(), length = fed.count();
  const std::int64_t lead = static_cast<std::int64_t>(fed.lead.size()), in_lead = std::min(inherited, lead);
  batch_.ids.insert(batch_.ids.end(), fed.lead.begin() + in_lead, fed.lead.end());
  batch_.ids.insert(batch_.ids.end(), fed.body.begin() + (inherited - in_lead), fed.body.end());
  batch_.starts.push_back(static_cast<std::int32_t>(batch_.ids.size()));
  chain_.next(inherited, first, length - inherited);
  if (sharing) {
    batch_.inherited.push_back(static_cast<std::int32_t>(inherited));
    first_entry_.resize(batch_.ids.size(), -1);
  }
  auto run = chain_.rows().begin();
  std::int64_t run_begin = 0;  // counted from the sequence's start
  for (std::size_t i = 0; i < targets.size(); ++i) {
    const std::int64_t row = first_row + static_cast<std::int64_t>(i);
    while (row >= run_begin + run->count) run_begin += (run++)->count;
    const auto place = static_cast<std::int32_t>(run->first + row - run_begin);
    const auto target = static_cast<std::int32_t>(targets[i]);
    if (sharing) {
      ask(place, target);
    } else {
      batch_.scored_rows.push_back(place);
      batch_.targets.push_back(target);
    }
  }
  const auto all = static_cast<double>(length), there = static_cast<double>(inherited);
  visible_keys_ += all * (all + 1) / 2 - there * (there + 1) / 2;
  asked_ += static_cast<std::int64_t>(targets.size());
  inherited_ += inherited;
}

}  // namespace thresher::engine
