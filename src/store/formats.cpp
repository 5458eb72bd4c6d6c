// Names on the command line to files and formats.
#include <fmt/format.h>
#include <glob.h>

#include <algorithm>
#include <array>

#include "thresher/base/check.h"
#include "thresher/store/import.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;

struct Matches {
  glob_t found{};
  ~Matches() { ::globfree(&found); }
};

// Regular files in a directory, hidden ones left out, sorted.
void add_directory(const base::Path& directory, std::vector<base::Path>& paths) {
  const std::size_t before = paths.size();
  for (const std::string& name : base::real_files().list(directory)) {
    if (!name.starts_with(".") && std::filesystem::is_regular_file(directory / name)) paths.push_back(directory / name);
  }
  if (paths.size() == before) fail(Exit::no_input, directory.string() + " holds no files");
}

void add_matches(const std::string& pattern, std::vector<base::Path>& paths) {
  Matches matches;
  const int result = ::glob(pattern.c_str(), 0, nullptr, &matches.found);
  if (result == GLOB_NOSPACE) fail(Exit::os, "no memory for the names that match " + pattern);
  if (result != 0 || matches.found.gl_pathc == 0)
    fail(Exit::no_input, pattern + ": no such file, and no file matches it");
  std::vector<std::string> names(matches.found.gl_pathv, matches.found.gl_pathv + matches.found.gl_pathc);
  std::sort(names.begin(), names.end());  // glob sorts by the locale
  paths.insert(paths.end(), names.begin(), names.end());
}

}  // namespace

Format format_of(std::string_view name) {
  constexpr std::array<std::string_view, 4> names{"jsonl", "lines", "paragraphs", "files"};
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end())
    fail(Exit::usage, fmt::format("unknown format {}: expected jsonl, lines, paragraphs or files", name));
  return static_cast<Format>(found - names.begin());
}

Format guess_format(const base::Path& path) {
  std::string name = path.filename().string();
  for (const std::string_view end : {".gz", ".zst"}) {
    if (name.ends_with(end)) name.resize(name.size() - end.size());
  }
  return name.ends_with(".jsonl") || name.ends_with(".json") || name.ends_with(".ndjson") ? Format::jsonl
                                                                                          : Format::files;
}

std::vector<base::Path> expand(std::span<const std::string> names) {
  std::vector<base::Path> paths;
  for (const std::string& name : names) {
    std::error_code error;
    const auto status = std::filesystem::status(name, error);
    if (std::filesystem::is_directory(status)) {
      add_directory(name, paths);
    } else if (std::filesystem::exists(status)) {
      paths.emplace_back(name);
    } else {
      add_matches(name, paths);
    }
  }
  return paths;
}

}  // namespace thresher::store
