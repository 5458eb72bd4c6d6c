#include "thresher/base/check.h"

#include <new>
#include <string_view>
#include <system_error>

namespace thresher::base {
namespace {

// Messages quote what stands in files: a terminal must not obey it, and a zero byte must not end the message.
std::string printable(const std::string& message) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string shown;
  for (const char c : message) {
    const auto code = static_cast<unsigned char>(c);
    if ((code >= ' ' && code != 127) || c == '\n' || c == '\t')
      shown += c;
    else
      shown.append("\\x").append(1, digits[code >> 4]).append(1, digits[code & 15]);
  }
  return shown;
}

}  // namespace

Error::Error(Exit code, const std::string& message, std::source_location where)
    : std::runtime_error(printable(message)),
      code_(code),
      where_(where.line() == 0 ? "" : std::string(where.file_name()) + ":" + std::to_string(where.line())) {}

Error current_error() {
  const std::source_location nowhere;
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return {Exit::os, "out of memory; use fewer --threads or ranks, or a smaller --tokens-per-batch", nowhere};
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again || error.code() == std::errc::not_enough_memory)
      return {Exit::os,
              std::string("no memory or process left for another thread (") + error.what() +
                  "); use fewer --threads or ranks, or raise ulimit -u and -v",
              nowhere};
    return {Exit::internal, std::string("unexpected: ") + error.what() + "; this is a bug in thresher", nowhere};
  } catch (const std::exception& error) {
    return {Exit::internal, std::string("unexpected: ") + error.what() + "; this is a bug in thresher", nowhere};
  } catch (...) {
    return {Exit::internal, "unexpected exception; this is a bug in thresher", nowhere};
  }
}

void fail(Exit code, const std::string& message, std::source_location where) {
  throw Error(code, message, where);
}

void fail_errno(Exit code, const std::string& what, int error_number, std::source_location where) {
  throw Error(code, what + ": " + std::generic_category().message(error_number), where);
}

}  // namespace thresher::base
