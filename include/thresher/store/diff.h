// What differs between two results of the same documents.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/store/result.h"

namespace thresher::store {

struct DiffOptions {
  // How far two log-probabilities (or entropies) may be apart: those of one token, or a document's sums divided by its
  // tokens. With 0 ranks and the top K count as well, which near ties may change.
  double tolerance = 0;
  std::int64_t worst = 10;  // how many documents to name, and ids that only one of the two has
  bool tokens = true;       // compare per-token columns too where both have them
};

// The largest difference of one kind, and where. `document` is A's, -1: there is none.
struct Largest {
  double difference = 0;
  std::int64_t document = -1;
  std::string id;
  std::int64_t token = -1;  // of the document, where it is about tokens
  double a = 0, b = 0;
};

// A document that differs. Of two numbers of which one is NaN the difference is infinite.
struct DifferentDocument {
  std::string id;
  std::int64_t in_a = 0, in_b = 0;  // its numbers
  Status status_a = Status::ok, status_b = Status::ok;
  std::int64_t tokens_a = 0, tokens_b = 0;
  double logprob_a = 0, logprob_b = 0;
  double largest_token = 0;  // difference of a token's log-probability
  std::string columns;       // that differ, "status, logprob"
  double weight = 0;         // what the list is ordered by: infinite, or the larger one of what tolerance is about
};

struct Diff {
  std::int64_t documents_a = 0, documents_b = 0;
  std::int64_t matched = 0;  // by id; of an id that repeats, the n-th of A and the n-th of B
  std::int64_t only_a = 0, only_b = 0;
  std::vector<std::string> only_a_ids, only_b_ids;  // the first of them
  std::int64_t different = 0;                       // documents
  struct Count {
    std::string column;
    std::int64_t documents = 0;
  };
  std::vector<Count> columns;             // in how many documents each column differs; those that never do are left out
  bool tokens = false;                    // per-token columns were compared
  Largest absolute, relative, per_token;  // of documents that have a score in both
  Largest token;                          // of tokens' log-probabilities
  std::vector<DifferentDocument> worst;
  struct Value {
    std::string name, a, b;  // empty text: absent
  };
  std::vector<Value> plan;                  // values of the plans that differ
  std::vector<std::string> columns_of_one;  // "token (only in A)"

  bool equal() const { return different == 0 && only_a == 0 && only_b == 0; }
};

// Compares two results.h5, gathered or sharded, which may be of different shards, orders and modes. Two NaN are the
// same, -0 is 0. Holds a block of rows of each; where the documents' order differs also 32 bytes for each document of
// B, and reads are slower. Throws base::Error: no_input, data, io.
Diff diff_results(base::FileSystem& files, const base::Path& a, const base::Path& b, const DiffOptions& options);

}  // namespace thresher::store
