#include "thresher/base/duration.h"

#include <charconv>
#include <vector>

namespace thresher::base {
namespace {

constexpr double minute = 60, hour = 3600, day = 86400;
constexpr double longest = 1e5 * day;

// A number without a sign from the front of `text`, which loses it.
std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  if (text.empty() || (text.front() != '.' && (text.front() < '0' || text.front() > '9'))) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

std::optional<double> unit_of(char letter) {
  switch (letter) {
    case 's':
      return 1;
    case 'm':
      return minute;
    case 'h':
      return hour;
    case 'd':
      return day;
    default:
      return std::nullopt;
  }
}

// "1d12h", or a bare number.
std::optional<double> from_units(std::string_view text) {
  double seconds = 0;
  bool bare = false;
  for (bool first = true; first || !text.empty(); first = false) {
    const auto number = take_number(text);
    if (!number || bare) return std::nullopt;
    bare = text.empty();
    if (bare && !first) return std::nullopt;
    const auto unit = bare ? std::optional(1.0) : unit_of(text.front());
    if (!unit) return std::nullopt;
    if (!bare) text.remove_prefix(1);
    seconds += *number * *unit;
  }
  return seconds;
}

// "D-HH:MM:SS" and its shorter forms: fields of two digits or more, all but the first below their limit.
std::optional<double> from_clock(std::string_view text) {
  std::vector<double> fields;
  bool has_days = false;
  for (bool more = true; more;) {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || text.front() == '-') return std::nullopt;
    fields.push_back(value);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    more = !text.empty();
    if (!more) break;
    const bool dash = text.front() == '-';
    if (dash ? fields.size() > 1 : text.front() != ':') return std::nullopt;
    if (dash) has_days = true;
    text.remove_prefix(1);
  }
  if (fields.size() > (has_days ? 4u : 3u) || fields.size() < 2) return std::nullopt;
  for (std::size_t i = 1; i < fields.size(); ++i)
    if (fields[i] >= (has_days && i == 1 ? 24 : 60)) return std::nullopt;
  if (!has_days)
    return fields.size() == 2 ? fields[0] * minute + fields[1] : fields[0] * hour + fields[1] * minute + fields[2];
  fields.resize(4);
  return fields[0] * day + fields[1] * hour + fields[2] * minute + fields[3];
}

}  // namespace

std::optional<double> parse_duration(std::string_view text) {
  const bool clock = text.find_first_of(":-") != std::string_view::npos;
  const auto seconds = clock ? from_clock(text) : from_units(text);
  return seconds && *seconds <= longest ? seconds : std::nullopt;
}

}  // namespace thresher::base
