#include "thresher/base/check.h"

#include <system_error>

namespace thresher::base {

Error::Error(Exit code, const std::string& message, std::source_location where)
    : std::runtime_error(message),
      code_(code),
      where_(where.line() == 0 ? "" : std::string(where.file_name()) + ":" + std::to_string(where.line())) {}

void fail(Exit code, const std::string& message, std::source_location where) {
  throw Error(code, message, where);
}

void fail_errno(Exit code, const std::string& what, int error_number, std::source_location where) {
  throw Error(code, what + ": " + std::generic_category().message(error_number), where);
}

}  // namespace thresher::base
