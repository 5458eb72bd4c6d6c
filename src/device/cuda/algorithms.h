// What was chosen by measurement on one kind of machine, as text: one rank's choices can be given to all, so that their
// bits agree, and kept for a restart. Pure.
//
//   thresher cuda algorithms 2
//   machine sm_90 of 132 processors, cuBLASLt 13.1.0
//   [products]
//   1024 4096 bf16 f32 none : 0 0 2a 0 0 0 0 0 0 0
//   end
//
// A section holds lines "key : choice", sorted by key. Sections that a program does not know are kept. Several such
// texts may follow each other.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace thresher::device::cuda {

// What happens to a step that no algorithm is known for.
enum class Unknown : std::uint8_t {
  choose,  // it takes one that is good in general
  note,    // it takes any that serves, and is noted; for steps whose results nobody needs
  tune
};

class Algorithms {
 public:
  // Whether a line of a section is one that its owner can read.
  using Reads = std::function<bool(std::string_view key, std::string_view choice)>;

  // `machine` decides what a choice means: texts of other machines are not taken.
  explicit Algorithms(std::string machine) : machine_(std::move(machine)) {}

  const std::string& machine() const { return machine_; }
  std::size_t size() const;
  // `section` is one word; `reads` must not throw.
  void know(const std::string& section, Reads reads) { sections_[section].reads = std::move(reads); }
  // Null where nothing is known.
  const std::string* find(const std::string& section, const std::string& key) const;
  // All of a section's choices, by their keys.
  std::map<std::string, std::string> choices(const std::string& section) const;
  // What is known already stays.
  void add(const std::string& section, const std::string& key, const std::string& choice);

  std::string text() const;
  // Adds what `text` says and is not known yet: the first to say something is right. Throws base::Error, and changes
  // nothing: data (damaged, cut off, another version), config (another machine's).
  void merge(std::string_view text);

 private:
  struct Section {
    Reads reads;
    std::map<std::string, std::string> choices;
  };

  std::string machine_;
  std::map<std::string, Section> sections_;
};

}  // namespace thresher::device::cuda
