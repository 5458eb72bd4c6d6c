// One move-only owner for every C handle.
#pragma once

#include <utility>

namespace thresher::base {

// Close is called with the handle unless it equals Null; its result is ignored (check before, where closing can fail).
template <class T, auto Close, T Null = T{}>
class Handle {
 public:
  Handle() = default;
  explicit Handle(T value) : value_(value) {}
  ~Handle() { reset(); }
  Handle(Handle&& other) noexcept : value_(std::exchange(other.value_, Null)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }

  T raw() const { return value_; }
  explicit operator bool() const { return value_ != Null; }
  void reset() {
    if (value_ != Null) static_cast<void>(Close(std::exchange(value_, Null)));
  }
  // Gives the handle up: the caller closes it.
  T release() { return std::exchange(value_, Null); }

 private:
  T value_ = Null;
};

}  // namespace thresher::base
