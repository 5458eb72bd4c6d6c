#include "thresher/schedule/lengths.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "thresher/base/clock.h"

namespace thresher::schedule {
namespace {

constexpr double assumed_bytes_per_token = 4.2;  // English text and vocabularies of about 100,000
constexpr std::int64_t sample_documents = 256;
constexpr std::size_t sample_bytes = 1'000'000;

// Lengths within a ninth of each other (eight classes an octave) share a class with their mean.
class Classes {
 public:
  void add(double tokens) {
    LengthClass& one = classes_[tokens < 1 ? -1 : static_cast<int>(8 * std::log2(tokens))];
    one.tokens += (tokens - one.tokens) / ++one.documents;
  }
  std::vector<LengthClass> list() const {
    std::vector<LengthClass> result;
    for (const auto& [key, one] : classes_) result.push_back(one);
    return result;
  }

 private:
  std::map<int, LengthClass> classes_;
};

// Documents spread evenly over the corpus.
void encode_sample(store::Source& corpus, const text::Tokenizer& tokenizer, CorpusLengths& lengths) {
  const std::int64_t documents = corpus.info().documents,
                     step = std::max<std::int64_t>(1, documents / sample_documents);
  std::vector<text::TokenId> ids;
  std::size_t bytes = 0;
  double seconds = 0;
  for (std::int64_t document = 0; document < documents && bytes < sample_bytes; document += step) {
    const store::Documents one = corpus.read(document, 1);
    if (one.status.front() != store::Intake::ok) continue;
    const base::Stopwatch watch;
    tokenizer.encode(one.text_of(0).substr(0, sample_bytes), false, ids);
    seconds += watch.seconds();
    bytes += std::min(one.text_of(0).size(), sample_bytes);
  }
  if (ids.empty()) return;
  lengths.bytes_per_token = static_cast<double>(bytes) / static_cast<double>(ids.size());
  lengths.measured = true;
  if (seconds > 0) lengths.encode_rate = static_cast<double>(ids.size()) / seconds;
}

}  // namespace

CorpusLengths measure_lengths(store::Source& corpus, const text::Tokenizer* tokenizer) {
  const store::CorpusInfo& info = corpus.info();
  CorpusLengths lengths{.classes = {},
                        .text_bytes = static_cast<double>(info.text_bytes + 4 * info.tokens),
                        .bytes_per_token = assumed_bytes_per_token};
  if (info.tokens > 0) {
    lengths.bytes_per_token = 4;
    lengths.measured = true;
  } else if (tokenizer) {
    encode_sample(corpus, *tokenizer, lengths);
  }
  const double unit = info.tokens > 0 ? 1 : 1 / lengths.bytes_per_token;
  Classes classes;
  constexpr std::int64_t block = 1 << 20;
  for (std::int64_t first = 0; first < info.documents; first += block) {
    const auto offsets = corpus.offsets(first, std::min(block, info.documents - first));
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
      classes.add(unit * static_cast<double>(offsets[i + 1] - offsets[i]));
  }
  lengths.classes = classes.list();
  return lengths;
}

CorpusLengths supposed_lengths(double documents, double mean, double longest) {
  CorpusLengths lengths{.classes = {},
                        .text_bytes = documents * mean * assumed_bytes_per_token,
                        .bytes_per_token = assumed_bytes_per_token};
  if (mean >= longest) {
    lengths.classes = {{longest, documents}};
    return lengths;
  }
  const auto classes_around = [&](double middle) {
    std::vector<LengthClass> classes;
    double weights = 0;
    for (double z = -3; z < 3.05; z += 0.1) {
      classes.push_back({std::clamp(middle * std::exp(z), 1.0, longest), std::exp(-z * z / 2)});
      weights += classes.back().documents;
    }
    for (LengthClass& one : classes) one.documents *= documents / weights;
    return classes;
  };
  double low = 0, high = longest;
  for (int round = 0; round < 60; ++round) {
    const double middle = (low + high) / 2;
    double sum = 0;
    for (const LengthClass& one : classes_around(middle)) sum += one.documents * one.tokens;
    (sum < documents * mean ? low : high) = middle;
  }
  lengths.classes = classes_around(high);
  return lengths;
}

}  // namespace thresher::schedule
