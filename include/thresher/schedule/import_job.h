// One import, shared by the ranks of a job.
#pragma once

#include <span>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/comm/comm.h"
#include "thresher/store/import.h"

namespace thresher::schedule {

struct ImportJob {
  std::vector<base::Path> inputs;  // in the order of the corpus
  base::Path output;
  base::Path rejects;
  store::ImportOptions options;
};

// Cuts inputs of the given sizes into `ranks` runs of consecutive ones with about equal bytes: rank r takes inputs
// [result[r], result[r + 1]). Pure.
std::vector<std::size_t> share_inputs(std::span<const std::int64_t> sizes, int ranks);

// Collective. Every rank reads its share of the inputs beside the output, rank zero puts the corpus together. The bytes
// of the corpus do not depend on the ranks. Everyone gets the report. Throws base::Error on every rank alike.
store::ImportReport import_corpus(const ImportJob& job, comm::Comm& comm);

}  // namespace thresher::schedule
