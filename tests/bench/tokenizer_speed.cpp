// How fast one thread encodes a text: tokenizer_speed TOKENIZER_JSON TEXT [lines|paragraphs|whole]
// Prints documents, bytes, tokens, the digest of the ids (as tests/reference/make_tokenizers.py makes it) and MB/s, the
// best of at least three passes after a first one that fills the cache, in the process's own CPU time, so that a busy
// machine does not count. tokenizer_speed.py compares with the Python library.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/base/hash.h"
#include "thresher/text/tokenizer.h"

namespace {

std::vector<std::string> documents_of(const std::string& text, const std::string& cut) {
  if (cut == "whole") return {text};
  const std::string separator = cut == "lines" ? "\n" : "\n\n";
  std::vector<std::string> documents;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    if (end > at) documents.push_back(text.substr(at, end - at));
    at = end + separator.size();
  }
  return documents;
}

void append_number(std::string& bytes, std::uint32_t number) {
  for (int shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>(number >> shift & 0xFF));
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

int measure(const std::string& tokenizer_json, const std::string& path, const std::string& cut) {
  using Clock = std::chrono::steady_clock;
  std::ifstream file(path, std::ios::binary);
  if (!file) thresher::base::fail(thresher::base::Exit::no_input, path + ": cannot be read");
  std::ostringstream text;
  text << file.rdbuf();
  const auto documents = documents_of(text.str(), cut);
  const auto start_load = Clock::now();
  const auto tokenizer = thresher::text::load_tokenizer(tokenizer_json);
  const std::chrono::duration<double> load = Clock::now() - start_load;
  std::vector<thresher::text::TokenId> ids;
  std::string bytes;
  std::size_t size = 0;
  std::size_t tokens = 0;
  for (const std::string& document : documents) {
    ids.clear();
    tokenizer->encode(document, true, ids);
    append_number(bytes, static_cast<std::uint32_t>(ids.size()));
    for (const auto id : ids) append_number(bytes, id);
    size += document.size();
    tokens += ids.size();
  }
  double best = 1e300;
  const auto start = Clock::now();
  for (int pass = 0; pass < 3 || Clock::now() - start < std::chrono::seconds(1); ++pass) {
    const double begin = cpu_seconds();
    for (const std::string& document : documents) {
      ids.clear();
      tokenizer->encode(document, true, ids);
    }
    best = std::min(best, cpu_seconds() - begin);
  }
  std::printf("documents %zu bytes %zu tokens %zu digest %s load_seconds %.3f megabytes_per_second %.2f\n",
              documents.size(), size, tokens, thresher::base::digest_of(bytes).hex().c_str(), load.count(),
              static_cast<double>(size) / 1e6 / best);
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) {
    std::fprintf(stderr, "tokenizer_speed TOKENIZER_JSON TEXT [lines|paragraphs|whole]\n");
    return 64;
  }
  try {
    return measure(arguments[1], arguments[2], count > 3 ? arguments[3] : "lines");
  } catch (const thresher::base::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return static_cast<int>(error.code());
  }
}
