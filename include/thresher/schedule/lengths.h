// How long a corpus's documents are, in tokens.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "thresher/schedule/cost.h"
#include "thresher/store/document.h"
#include "thresher/text/tokenizer.h"

namespace thresher::schedule {

struct CorpusLengths {
  std::vector<LengthClass> classes;
  double text_bytes = 0;
  double bytes_per_token = 0;  // measured on a sample, or assumed
  bool measured = false;       // the lengths or the bytes per token are not assumed
  double encode_rate = 0;      // tokens/s of one core, 0 if nothing was encoded
};

// From the corpus's offsets; bytes become tokens by encoding a sample of about a megabyte with `tokenizer`, or by an
// assumed ratio without one.
CorpusLengths measure_lengths(store::Source& corpus, const text::Tokenizer* tokenizer);

// Lengths as web texts have them: log-normal with a spread of e, cut at `longest`, with this mean. All alike where
// the mean is the longest.
CorpusLengths supposed_lengths(double documents, double mean, double longest);

}  // namespace thresher::schedule
