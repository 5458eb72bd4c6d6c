// Which document of one result is which of another.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "thresher/base/hash.h"

namespace thresher::store {

class ResultsFile;

// Matches by id: of an id that repeats, the n-th document of A goes with the n-th of B.
class Matcher {
 public:
  // Reads all ids of both. Keeps nothing of them where they are the same in the same order.
  Matcher(const ResultsFile& a, const ResultsFile& b);

  // The documents of B for [first, first + count) of A; -1 where there is none. To be called for all of A, in order.
  std::vector<std::int64_t> partners(std::int64_t first, std::int64_t count);
  // Documents of B that no call gave, in order.
  std::vector<std::int64_t> left() const;

 private:
  struct Entry {
    base::Digest id;
    std::int64_t document = 0;
    std::int64_t used = 0;  // in the first entry of an id: how many of its documents have been given
  };
  bool same_order() const;
  void index();

  const ResultsFile& a_;
  const ResultsFile& b_;
  std::vector<Entry> entries_;  // of B by id, then document; empty where the order is the same
  bool same_;
};

}  // namespace thresher::store
