// A queue between two stages of the pipeline that measures its own stalls.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "thresher/base/clock.h"

namespace thresher::base {

// Any number of producers and consumers. `close` ends it: pushes are dropped, pops drain what is left.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(std::size_t capacity) : capacity_(capacity) {}

  // Blocks while full. False when the queue was closed: the item is gone.
  bool push(T item) {
    std::unique_lock lock(mutex_);
    if (items_.size() >= capacity_ && !closed_) {
      const Stopwatch watch;
      space_.wait(lock, [this] { return items_.size() < capacity_ || closed_; });
      push_wait_ += watch.seconds();
    }
    if (closed_) return false;
    items_.push_back(std::move(item));
    available_.notify_one();
    return true;
  }

  // Blocks while empty. Nothing when closed and drained; rethrows what `abort` was given.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    if (items_.empty() && !closed_) {
      const Stopwatch watch;
      ++hungry_;
      space_.notify_all();
      available_.wait(lock, [this] { return !items_.empty() || closed_; });
      --hungry_;
      pop_wait_ += watch.seconds();
    }
    return take();
  }

  // Blocks until a consumer waits for an item, or the queue is closed.
  void await_hunger() {
    std::unique_lock lock(mutex_);
    space_.wait(lock, [this] { return (hungry_ > 0 && items_.empty()) || closed_; });
  }

  // Like pop, but nothing also when the queue is empty right now.
  std::optional<T> try_pop() {
    std::lock_guard lock(mutex_);
    return take();
  }

  // Whether pop would not block.
  bool ready() const {
    std::lock_guard lock(mutex_);
    return !items_.empty() || closed_;
  }

  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    space_.notify_all();
    available_.notify_all();
  }

  // Closes with an error that the consumers get at once.
  void abort(std::exception_ptr error) {
    std::lock_guard lock(mutex_);
    if (!error_) error_ = std::move(error);
    closed_ = true;
    items_.clear();
    space_.notify_all();
    available_.notify_all();
  }

  // Seconds that producers waited for space, and consumers for items.
  double push_wait() const {
    std::lock_guard lock(mutex_);
    return push_wait_;
  }
  double pop_wait() const {
    std::lock_guard lock(mutex_);
    return pop_wait_;
  }

 private:
  std::optional<T> take() {
    if (error_) std::rethrow_exception(error_);
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    space_.notify_all();
    return item;
  }

  const std::size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable space_, available_;
  std::deque<T> items_;
  std::exception_ptr error_;
  bool closed_ = false;
  int hungry_ = 0;  // consumers that wait
  double push_wait_ = 0, pop_wait_ = 0;
};

}  // namespace thresher::base
