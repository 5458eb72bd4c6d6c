#include "thresher/engine/window.h"

#include <algorithm>

namespace thresher::engine {

WindowCutter::WindowCutter(const WindowRule& rule, const Extent& extent) : rule_(rule), extent_(extent) {
  first_ = std::max<std::int64_t>(extent.score_from, extent.lead > 0 ? 0 : 1);
  const std::int64_t fed = extent.lead + extent.tokens - 1;  // the last token is only predicted
  // A pair's and a rolling window's limit is on what is fed; a plain window's on what it holds.
  const bool fits = extent.pair || rule.rolling ? fed <= rule.window : fed < rule.window;
  several_ = !fits;
  single_ = fits || (extent.pair && extent.tokens - first_ <= rule.window);
}

bool WindowCutter::next(Window& window) {
  while (std::max(done_, first_) < extent_.tokens) {
    if (single_) {
      const std::int64_t end = extent_.tokens - 1;
      const bool whole = !several_;
      window = {whole && extent_.lead > 0, whole ? 0 : std::max<std::int64_t>(0, end - rule_.window), end, first_,
                extent_.tokens};
      done_ = extent_.tokens;
      return true;
    }
    window = rule_.rolling ? rolling() : plain();
    done_ = window.score_end;
    window.score_begin = std::max(window.score_begin, first_);
    if (window.score_begin < window.score_end) return true;
  }
  return false;
}

Window WindowCutter::plain() {
  const std::int64_t capacity = rule_.window - extent_.lead;
  // Without a lead, a window's first token has nothing before it, so windows overlap by one token at least.
  const std::int64_t step = std::min(rule_.stride, extent_.lead > 0 ? capacity : capacity - 1);
  const std::int64_t last = std::min(extent_.tokens, done_ == 0 ? capacity : done_ + step);
  const std::int64_t begin = std::max<std::int64_t>(0, last - capacity);
  return {extent_.lead > 0, begin, last - 1, done_, last};
}

Window WindowCutter::rolling() {
  const std::int64_t last = std::min(extent_.tokens, done_ + rule_.window);
  if (done_ == 0) return {extent_.lead > 0, 0, last - 1, 0, last};
  return {false, std::max<std::int64_t>(0, last - 1 - rule_.window), last - 1, done_, last};
}

}  // namespace thresher::engine
