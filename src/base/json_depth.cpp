#include "thresher/base/json_depth.h"

#include "thresher/base/check.h"

namespace thresher::base {

void check_json_depth(std::string_view json, std::int64_t deepest, const std::string& name) {
  if (json.find('\0') != std::string_view::npos) fail(Exit::data, name + " is not JSON: it holds a zero byte");
  std::int64_t depth = 0;
  bool in_string = false;
  for (std::size_t at = 0; at < json.size(); ++at) {
    const char c = json[at];
    if (in_string) {
      if (c == '\\')
        ++at;
      else
        in_string = c != '"';
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest) fail(Exit::data, name + " is nested deeper than " + std::to_string(deepest) + " levels");
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
}

}  // namespace thresher::base
