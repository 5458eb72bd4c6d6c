// How a document longer than the context is cut into windows. Pure.
#pragma once

#include <cstdint>

namespace thresher::engine {

// Lengths in tokens. With `lead` tokens (BOS, or the prefix token) in front of a window, it holds window - lead tokens
// of the document at most.
//
// Plain: the first window begins the document and scores all it holds that has something before it. Each later one
// scores the next `stride` tokens and reaches back as far as it can; it restarts positions and repeats the lead.
//
// Rolling (lm-evaluation-harness' loglikelihood_rolling with a context of one token): windows feed up to `window`
// tokens and score as many; the lead stands before the first one only, later ones see what came before instead.
struct WindowRule {
  std::int64_t window = 0;
  std::int64_t stride = 0;  // 1 <= stride <= window - 1; plain only
  bool rolling = false;
};

// The part of a document that goes through the model at once: the lead, if any, and tokens [begin, end); the numbers
// of tokens [score_begin, score_end) come out of the rows before them, so score_end <= end + 1.
struct Window {
  bool lead = false;
  std::int64_t begin = 0, end = 0;
  std::int64_t score_begin = 0, score_end = 0;
};

// What is to be scored: tokens [score_from, tokens) of a document. A pair (context and continuation) that is too long
// keeps the end of its context, as lm-evaluation-harness does, where the continuation fits one window.
struct Extent {
  std::int64_t tokens = 0;
  std::int64_t lead = 0;  // tokens in front
  std::int64_t score_from = 0;
  bool pair = false;
};

// Gives a document's windows one after another; together they score each token that has something before it once.
class WindowCutter {
 public:
  WindowCutter(const WindowRule& rule, const Extent& extent);
  // False when there are no more.
  bool next(Window& window);
  // True if the document does not fit one window.
  bool several() const { return several_; }
  // Tokens that all windows together score.
  std::int64_t scored() const { return extent_.tokens > first_ ? extent_.tokens - first_ : 0; }

 private:
  Window plain();
  Window rolling();

  WindowRule rule_;
  Extent extent_;
  std::int64_t first_ = 0;  // first token that can be scored
  std::int64_t done_ = 0;   // tokens before this are scored, or never will be
  bool single_ = false;     // all is scored by one window
  bool several_ = false;
};

}  // namespace thresher::engine
