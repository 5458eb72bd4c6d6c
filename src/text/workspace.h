// Scratch memory of one encode call. A tokenizer keeps a pool of them, so that nothing is allocated once they have
// grown.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "text/pattern.h"
#include "text/word_cache.h"

namespace thresher::text {

struct BpeScratch {
  std::vector<TokenId> symbols;
  std::vector<std::uint32_t> ranks;  // of the pair that starts at each symbol
  std::vector<TokenId> results;      // of the same pair
  std::vector<std::uint32_t> previous;
  std::vector<std::uint32_t> next;
  std::vector<std::uint64_t> heap;
};

struct UnigramScratch {
  struct Node {
    double score = 0;
    std::size_t begin = 0;
    TokenId id = 0;
    bool reached = false;
  };
  std::vector<Node> nodes;
  std::vector<std::pair<std::size_t, std::size_t>> pieces;
};

struct Workspace {
  WordCache cache;
  BpeScratch bpe;
  UnigramScratch unigram;
  MatchMemory match;
  std::string normal;             // the text being normalised
  std::string normal_next;        // where the next normaliser writes
  std::deque<std::string> stage;  // one for each pre-tokenizer that rewrites its pieces
  std::vector<TokenId> word_ids;
};

}  // namespace thresher::text
