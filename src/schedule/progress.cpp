#include "schedule/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "thresher/base/log.h"

namespace thresher::schedule {
namespace {

constexpr double redraw_seconds = 0.2;
constexpr int bar_width = 24;

}  // namespace

std::string duration_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::lround(std::max(0.0, seconds)));
  if (whole >= 3600) return fmt::format("{} h {:02} min", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  return fmt::format("{} s", whole);
}

std::string count_text(double count) {
  const std::string digits = fmt::format("{:.0f}", count);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

Progress::Progress(const ProgressTotals& totals, const base::Clock& clock, bool terminal, double every_seconds)
    : totals_(totals),
      clock_(clock),
      terminal_(terminal),
      every_(terminal ? redraw_seconds : every_seconds),
      start_(clock.seconds()),
      last_(start_) {}

std::string Progress::line(const Advance& advance, double weight, double seconds) const {
  const double done = totals_.weight > 0 ? (totals_.weight_before + weight) / totals_.weight : 1;
  const double left = totals_.weight - totals_.weight_before - weight;
  const std::string eta = weight > 0 ? duration_text(left / weight * seconds) : "?";
  return fmt::format("{:5.1f} %  {} / {} documents, {} tokens/s, ETA {}, {} failed", 100 * done,
                     count_text(static_cast<double>(totals_.documents_before + advance.documents)),
                     count_text(static_cast<double>(totals_.documents)),
                     count_text(static_cast<double>(advance.tokens) / std::max(seconds, 1e-3)), eta,
                     count_text(static_cast<double>(advance.failures)));
}

void Progress::update(const Advance& advance, double weight) {
  const double now = clock_.seconds();
  if (now - last_ < every_) return;
  last_ = now;
  const std::string text = line(advance, weight, now - start_);
  if (!terminal_) {
    base::info(text);
    return;
  }
  const double done = totals_.weight > 0 ? (totals_.weight_before + weight) / totals_.weight : 1;
  const auto filled = static_cast<std::size_t>(std::clamp(done, 0.0, 1.0) * bar_width);
  const std::string drawn =
      fmt::format("\r\033[K[{}{}] {}", std::string(filled, '#'), std::string(bar_width - filled, '.'), text);
  drawn_ = ::write(STDERR_FILENO, drawn.data(), drawn.size()) > 0;
}

void Progress::end() {
  if (drawn_ && ::write(STDERR_FILENO, "\r\033[K", 4) < 0) drawn_ = false;
  drawn_ = false;
}

}  // namespace thresher::schedule
