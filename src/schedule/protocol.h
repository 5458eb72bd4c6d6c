// The messages between workers and the coordinator, and between monitors.
#pragma once

#include <cstdint>
#include <cstring>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>

#include "thresher/base/check.h"

namespace thresher::schedule {

inline constexpr int coordinator = 0;           // the rank that deals
inline constexpr std::size_t shards_ahead = 2;  // encoded shards that wait for a scorer
inline constexpr int parts_in_flight = 4;       // delivered and not durable: bounds memory, rank zero's too

enum Kind : std::int32_t {
  // worker to coordinator
  request = 1,   // give me a lease
  part = 2,      // PartHeader and the part's bytes
  settled = 3,   // PartHeader: the worker has committed the part itself
  finished = 4,  // nothing more will come from this worker; between monitors: from this rank
  // coordinator to worker
  lease = 5,      // Lease; a count of 0 = no more work
  committed = 6,  // one part of yours is durable
  // between monitors
  pulse = 7,   // Pulse: this rank lives
  failed = 8,  // Failure: the job ends with this error
  asked = 9,   // StopRequest, to rank zero: a signal has come
  stop = 10,   // StopOrder, from rank zero
  query = 11   // to rank zero: print the status
};

struct PartHeader {
  std::int64_t shard = 0;
  std::int64_t documents = 0;
  std::int64_t tokens = 0;    // scored
  std::int64_t failures = 0;  // documents that should have a score and have none: rejected or nan
  std::int64_t nan = 0;       // of them
  double seconds = 0;         // from the shard's first token to its rows
  double commit_seconds = 0;  // with settled
};

struct FailureHeader {
  std::int32_t code = 0;
};

// A plain struct, and bytes behind it.
template <class T>
std::string pack_message(const T& header, std::string_view bytes = {}) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::string message(sizeof(T) + bytes.size(), '\0');
  std::memcpy(message.data(), &header, sizeof(T));
  if (!bytes.empty()) std::memcpy(message.data() + sizeof(T), bytes.data(), bytes.size());
  return message;
}

// The struct at the front; `rest` is what stands behind it.
template <class T>
T unpack_message(std::string_view message, std::string_view* rest = nullptr) {
  if (message.size() < sizeof(T)) base::fail(base::Exit::internal, "a message is shorter than its header");
  T header;
  std::memcpy(&header, message.data(), sizeof(T));
  if (rest) *rest = message.substr(sizeof(T));
  return header;
}

// With the place in the code, if the error is a bug.
inline std::string text_of(const base::Error& error) {
  if (error.code() != base::Exit::internal || error.where().empty()) return error.what();
  return std::string(error.what()) + " (at " + error.where() + ")";
}

// The error as other ranks get it: `name` in front, unless that is empty.
inline base::Error error_of(const std::string& name, const base::Error& error) {
  return {error.code(), (name.empty() ? name : name + ": ") + text_of(error), std::source_location()};
}

inline std::string pack_error(const base::Error& error) {
  return pack_message(FailureHeader{static_cast<std::int32_t>(error.code())}, text_of(error));
}

inline base::Error unpack_error(std::string_view message) {
  std::string_view text;
  const auto header = unpack_message<FailureHeader>(message, &text);
  return {static_cast<base::Exit>(header.code), std::string(text), std::source_location()};
}

// Comes from a rank's machine, so that its name says where to look, rather than from what all ranks were told.
inline bool is_of_one_rank(base::Exit code) {
  return code != base::Exit::usage && code != base::Exit::config && code != base::Exit::again;
}

// Runs `work`; whatever it throws becomes a base::Error.
template <class Work>
void as_error(const Work& work) {
  try {
    work();
  } catch (const base::Error&) {
    throw;
  } catch (...) {
    throw base::current_error();
  }
}

}  // namespace thresher::schedule
