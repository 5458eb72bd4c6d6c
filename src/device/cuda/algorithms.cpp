#include "device/cuda/algorithms.h"

#include <fmt/format.h>

#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

constexpr std::string_view title = "thresher cuda algorithms 2";
constexpr std::string_view machine_word = "machine ";
constexpr std::string_view last_line = "end";
constexpr std::string_view colon = " : ";

// Takes lines off a text and knows where it is.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  bool over() const { return text_.empty(); }
  std::string_view next() {
    ++number_;
    const std::size_t end = text_.find('\n');
    line_ = text_.substr(0, end);
    if (end == std::string_view::npos) damaged();  // cut off
    text_.remove_prefix(end + 1);
    return line_;
  }
  [[noreturn]] void damaged() const {
    base::fail(base::Exit::data,
               fmt::format("line {} of the CUDA algorithms is damaged: \"{}\"", number_, line_.substr(0, 200)));
  }

 private:
  std::string_view text_, line_;
  int number_ = 0;
};

}  // namespace

std::size_t Algorithms::size() const {
  std::size_t count = 0;
  for (const auto& [name, section] : sections_) count += section.choices.size();
  return count;
}

const std::string* Algorithms::find(const std::string& section, const std::string& key) const {
  const auto holder = sections_.find(section);
  if (holder == sections_.end()) return nullptr;
  const auto found = holder->second.choices.find(key);
  return found == holder->second.choices.end() ? nullptr : &found->second;
}

std::map<std::string, std::string> Algorithms::choices(const std::string& section) const {
  const auto holder = sections_.find(section);
  return holder == sections_.end() ? std::map<std::string, std::string>() : holder->second.choices;
}

void Algorithms::add(const std::string& section, const std::string& key, const std::string& choice) {
  sections_[section].choices.emplace(key, choice);
}

std::string Algorithms::text() const {
  std::string text = fmt::format("{}\n{}{}\n", title, machine_word, machine_);
  for (const auto& [name, section] : sections_) {
    if (section.choices.empty()) continue;
    text += fmt::format("[{}]\n", name);
    for (const auto& [key, choice] : section.choices) text += fmt::format("{}{}{}\n", key, colon, choice);
  }
  return text + fmt::format("{}\n", last_line);
}

void Algorithms::merge(std::string_view text) {
  std::map<std::string, Section> sections = sections_;
  for (Lines lines(text); !lines.over();) {
    if (lines.next() != title) lines.damaged();
    const std::string_view machine = lines.next();
    if (!machine.starts_with(machine_word)) lines.damaged();
    if (const std::string_view there = machine.substr(machine_word.size()); there != machine_)
      base::fail(base::Exit::config,
                 fmt::format("CUDA algorithms chosen on \"{}\" are no use on \"{}\"", there, machine_));
    Section* section = nullptr;
    for (std::string_view line = lines.next(); line != last_line; line = lines.next()) {
      if (line.starts_with('[') && line.ends_with(']') && line.size() > 2) {
        section = &sections[std::string(line.substr(1, line.size() - 2))];
        continue;
      }
      const std::size_t at = line.find(colon);
      if (!section || at == 0 || at == std::string_view::npos) lines.damaged();
      const std::string_view key = line.substr(0, at), choice = line.substr(at + colon.size());
      if (choice.empty() || (section->reads && !section->reads(key, choice))) lines.damaged();
      section->choices.emplace(key, choice);
    }
  }
  sections_ = std::move(sections);
}

}  // namespace thresher::device::cuda
