// Pipes: a stream of messages from one rank to another that moves while both compute. Two buffers at each end: the
// writer fills one while the other is on its way, and messages arrive in memory that stood ready before they were sent.
// Made by Comm::outlet and Comm::inlet. One thread at a time uses an end.
//
// A thread of the floor's own moves the bytes while pipes exist; it naps between 50 us and 1 ms where nothing moves.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

namespace thresher::comm {

class Outlet {
 public:
  // What has not left is dropped: flush() first where the job goes on.
  virtual ~Outlet() = default;

  // The free buffer, of the pipe's capacity: the caller's until send(). Waits for one; the same again if it was not
  // sent.
  std::span<std::byte> buffer();
  // The same without waiting: nothing if none is free yet.
  virtual std::optional<std::span<std::byte>> poll() = 0;
  // Sends the buffer's first `bytes` bytes. Returns at once.
  virtual void send(std::size_t bytes) = 0;
  // Waits until everything sent has left this rank's memory.
  void flush();

  // Seconds spent waiting in buffer() and flush().
  double waited() const { return waited_; }

 protected:
  // True if nothing is on its way any more.
  virtual bool empty() = 0;

 private:
  double waited_ = 0;
};

class Inlet {
 public:
  virtual ~Inlet() = default;

  // The next message, in the order sent: the reader's until release(). Waits for it; the same again if it was not
  // released.
  std::span<const std::byte> receive();
  // The same without waiting: nothing if it has not arrived whole.
  virtual std::optional<std::span<const std::byte>> poll() = 0;
  // Gives the message's buffer back for another one.
  virtual void release() = 0;

  // Seconds spent waiting in receive().
  double waited() const { return waited_; }

 private:
  double waited_ = 0;
};

}  // namespace thresher::comm
