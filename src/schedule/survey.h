// Rank zero looks at the corpus before anything is loaded: where it is, how it is cut, how long documents get.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/comm/comm.h"
#include "thresher/schedule/job.h"
#include "thresher/store/run_directory.h"

namespace thresher::schedule {

struct Survey {
  std::string corpus;            // path of the HDF5 corpus
  std::string digest;            // its identity, hex
  std::int64_t shard_bytes = 0;  // the limit used
  std::int64_t text_bytes = 0;   // of text, or
  std::int64_t tokens = 0;       // in a corpus of tokens
  bool pairs = false;
  std::int64_t longest = 0;           // bytes (or tokens, for a token corpus) of the longest document
  std::vector<std::int64_t> shards;   // as store::Plan::shards
  std::vector<std::int64_t> weights;  // bytes of each shard

  std::int64_t shard_count() const { return static_cast<std::int64_t>(weights.size()); }
};

// Rank zero's view. Imports the job's text or JSONL files into `directory`/corpus.h5 first where they are not HDF5.
Survey survey_corpus(const Job& job, store::RunDirectory& directory);

// Collective. Everyone's survey becomes rank zero's.
void share(Survey& survey, comm::Comm& comm);

}  // namespace thresher::schedule
