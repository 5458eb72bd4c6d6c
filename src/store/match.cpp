#include "store/match.h"

#include <algorithm>
#include <numeric>

#include "store/results.h"

namespace thresher::store {
namespace {

constexpr std::int64_t ids_at_once = 16384;

}  // namespace

Matcher::Matcher(const ResultsFile& a, const ResultsFile& b) : a_(a), b_(b), same_(same_order()) {
  if (!same_) index();
}

bool Matcher::same_order() const {
  if (a_.rows() != b_.rows()) return false;
  for (std::int64_t first = 0; first < a_.rows(); first += ids_at_once) {
    const std::int64_t count = std::min(ids_at_once, a_.rows() - first);
    if (a_.ids(first, count) != b_.ids(first, count)) return false;
  }
  return true;
}

void Matcher::index() {
  entries_.reserve(static_cast<std::size_t>(b_.rows()));
  for (std::int64_t first = 0; first < b_.rows(); first += ids_at_once) {
    for (const std::string& id : b_.ids(first, std::min(ids_at_once, b_.rows() - first)))
      entries_.push_back({base::digest_of(id), static_cast<std::int64_t>(entries_.size()), 0});
  }
  std::ranges::sort(entries_, [](const Entry& x, const Entry& y) {
    return x.id.bytes != y.id.bytes ? x.id.bytes < y.id.bytes : x.document < y.document;
  });
}

std::vector<std::int64_t> Matcher::partners(std::int64_t first, std::int64_t count) {
  std::vector<std::int64_t> found(static_cast<std::size_t>(count), -1);
  if (same_) {
    std::iota(found.begin(), found.end(), first);
    return found;
  }
  const std::vector<std::string> ids = a_.ids(first, count);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const base::Digest id = base::digest_of(ids[i]);
    const auto group =
        std::ranges::lower_bound(entries_, id.bytes, {}, [](const Entry& entry) { return entry.id.bytes; });
    if (group == entries_.end() || group->id != id || group->used >= entries_.end() - group) continue;
    if (const Entry& next = *(group + group->used); next.id == id) {
      found[i] = next.document;
      ++group->used;
    }
  }
  return found;
}

std::vector<std::int64_t> Matcher::left() const {
  std::vector<std::int64_t> documents;
  std::int64_t given = 0;  // of the present id, still to pass over
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (i == 0 || entries_[i].id != entries_[i - 1].id) given = entries_[i].used;
    if (given > 0)
      --given;
    else
      documents.push_back(entries_[i].document);
  }
  std::ranges::sort(documents);
  return documents;
}

}  // namespace thresher::store
