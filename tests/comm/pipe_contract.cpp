#include "comm/pipe_contract.h"

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/comm/pipe.h"

namespace thresher::comm {
namespace {

bool is_internal(const base::Error& error) {
  return error.code() == base::Exit::internal;
}

// The i-th message from a rank: random length, often at the ends of what fits, and bytes that tell the two.
std::vector<std::byte> message(int from, int i, std::size_t capacity) {
  std::mt19937 random(static_cast<unsigned>(from * 1000 + i));
  std::size_t length = random() % (capacity + 1);
  if (i % 5 == 0) length = capacity;
  if (i % 7 == 0) length = 0;
  std::vector<std::byte> bytes(length);
  for (std::size_t k = 0; k < length; ++k) bytes[k] = static_cast<std::byte>(k * 31 + k / 251 + length);
  return bytes;
}

bool equal(std::span<const std::byte> a, std::span<const std::byte> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

struct Slowness {
  int writer_us = 0;
  int reader_us = 0;
};

// Writes to the next rank in one thread and reads from the one before in another.
void run_ring(Comm& comm, std::size_t capacity, int count, Slowness slow) {
  comm.barrier();  // the ends of the run before, with the same tag, are gone
  const int next = (comm.rank() + 1) % comm.size(), before = (comm.rank() + comm.size() - 1) % comm.size();
  const auto outlet = comm.outlet(next, 3, capacity);
  const auto inlet = comm.inlet(before, 3, capacity);
  std::jthread writer([&] {
    for (int i = 0; i < count; ++i) {
      if (slow.writer_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(slow.writer_us));
      const std::vector<std::byte> bytes = message(comm.rank(), i, capacity);
      const std::span<std::byte> buffer = outlet->buffer();
      if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
      outlet->send(bytes.size());
    }
    outlet->flush();
  });
  int wrong = 0;
  for (int i = 0; i < count; ++i) {
    const std::span<const std::byte> bytes = inlet->receive();
    if (slow.reader_us > 0) std::this_thread::sleep_for(std::chrono::microseconds(slow.reader_us));
    wrong += !equal(bytes, message(before, i, capacity));
    inlet->release();
  }
  writer.join();
  BOOST_TEST(wrong == 0);
  BOOST_TEST(!inlet->poll().has_value());
  if (slow.writer_us > 0) BOOST_TEST(inlet->waited() > 0.5e-6 * slow.writer_us);
  if (slow.reader_us > 0 && count > 10) BOOST_TEST(outlet->waited() > 0.5e-6 * slow.reader_us);
}

}  // namespace

void check_pipes(Comm& comm) {
  run_ring(comm, 1, 20, {});
  run_ring(comm, 5000, 50, {});
  run_ring(comm, 256 * 1024, 20, {});
  run_ring(comm, 1'300'001, 20, {});
  run_ring(comm, 600'000, 12, {3000, 0});
  run_ring(comm, 600'000, 12, {0, 3000});
  comm.barrier();
}

void check_polling(Comm& comm) {
  constexpr std::size_t capacity = 700'000;
  const int peer = comm.size() - 1 - comm.rank();
  const auto outlet = comm.outlet(peer, 4, capacity);
  const auto inlet = comm.inlet(peer, 4, capacity);
  BOOST_TEST(!inlet->poll().has_value());
  BOOST_CHECK_EXCEPTION(inlet->release(), base::Error, is_internal);
  BOOST_CHECK_EXCEPTION(outlet->send(capacity + 1), base::Error, is_internal);
  comm.barrier();
  int sent = 0, received = 0, wrong = 0;
  constexpr int count = 15;
  while (sent < count || received < count) {
    if (const auto buffer = outlet->poll(); buffer && sent < count) {
      const std::vector<std::byte> bytes = message(comm.rank(), sent++, capacity);
      if (!bytes.empty()) std::memcpy(buffer->data(), bytes.data(), bytes.size());
      outlet->send(bytes.size());
    }
    if (const auto bytes = inlet->poll()) {
      wrong += !equal(*bytes, message(peer, received++, capacity));
      inlet->release();
    }
  }
  BOOST_TEST(wrong == 0);
  outlet->flush();
  comm.barrier();
}

}  // namespace thresher::comm
