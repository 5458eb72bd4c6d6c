// What documents of given lengths feed a model.
#include <algorithm>
#include <cmath>

#include "thresher/schedule/cost.h"

namespace thresher::schedule {
namespace {

void add_documents(Load& load, double documents, std::int64_t tokens, const engine::WindowRule& rule,
                   std::int64_t lead) {
  if (documents <= 0) return;
  engine::WindowCutter cutter(rule, {.tokens = tokens, .lead = lead, .score_from = 0, .pair = false});
  engine::Window window;
  while (cutter.next(window)) {
    const auto fed = static_cast<double>(window.end - window.begin + (window.lead ? lead : 0));
    load.fed += documents * fed;
    load.scored += documents * static_cast<double>(window.score_end - window.score_begin);
    load.keys += documents * fed * (fed + 1) / 2;
    load.longest = std::max(load.longest, fed);
  }
}

}  // namespace

Load load_of(std::span<const LengthClass> lengths, const engine::WindowRule& rule, std::int64_t lead,
             double text_bytes) {
  Load load;
  load.text_bytes = text_bytes;
  for (const LengthClass& one : lengths) {
    load.documents += one.documents;
    // A mean between two whole lengths stands for some documents of each.
    const double whole = std::floor(one.tokens), longer = one.documents * (one.tokens - whole);
    add_documents(load, one.documents - longer, static_cast<std::int64_t>(whole), rule, lead);
    add_documents(load, longer, static_cast<std::int64_t>(whole) + 1, rule, lead);
  }
  return load;
}

}  // namespace thresher::schedule
