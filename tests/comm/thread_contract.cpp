#include "comm/thread_contract.h"

#include <atomic>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <thread>
#include <vector>

#include "thresher/comm/pipe.h"

namespace thresher::comm {
namespace {

// Boost.Test's checks are for one thread: threads count, the main thread checks.
using Wrong = std::atomic<int>;

void sum_often(Comm& comm, int rounds, Wrong& wrong) {
  const bool whole_tree = std::has_single_bit(static_cast<unsigned>(comm.size()));
  for (int i = 0; i < rounds; ++i) {
    if (!whole_tree) {
      comm.barrier();
      continue;
    }
    std::vector<float> values(static_cast<std::size_t>(i * 997 % 50'000 + 1), static_cast<float>(comm.rank() + i));
    comm.all_reduce(values);
    const float expected = static_cast<float>(comm.size() * i + comm.size() * (comm.size() - 1) / 2);
    for (const float value : values) wrong += value != expected;
  }
}

// Messages up to far beyond what MPI sends without asking, to everyone.
void mail_often(Comm& comm, Mailbox& mailbox, Channel channel, int rounds, Wrong& wrong) {
  for (int i = 0; i < rounds; ++i) {
    for (int to = 0; to < comm.size(); ++to)
      mailbox.post(to, channel, i, std::string(static_cast<std::size_t>(i % 8 * 30'000), static_cast<char>('a' + to)));
    for (int left = comm.size(); left > 0; --left) {
      const Message message = mailbox.take(channel);
      const std::size_t length = static_cast<std::size_t>(message.kind % 8 * 30'000);
      wrong += message.bytes != std::string(length, static_cast<char>('a' + comm.rank()));
    }
  }
}

void pipe_often(Comm& comm, int rounds, Wrong& wrong) {
  constexpr std::size_t capacity = 400'000;
  const auto outlet = comm.outlet((comm.rank() + 1) % comm.size(), 9, capacity);
  const auto inlet = comm.inlet((comm.rank() + comm.size() - 1) % comm.size(), 9, capacity);
  for (int i = 0; i < rounds; ++i) {
    std::memset(outlet->buffer().data(), i, capacity);
    outlet->send(capacity);
    const std::span<const std::byte> message = inlet->receive();
    wrong += message.size() != capacity || message.back() != static_cast<std::byte>(i);
    inlet->release();
  }
  outlet->flush();
}

}  // namespace

void check_threads(Comm& comm, Mailbox& mailbox) {
  const auto other = comm.split(0, 0), third = comm.split(0, 0);
  Wrong wrong{0};
  {
    std::vector<std::jthread> threads;
    threads.emplace_back([&] { sum_often(*other, 60, wrong); });
    threads.emplace_back([&] { pipe_often(*third, 60, wrong); });
    for (const Channel channel : {Channel::coordinator, Channel::lease})
      threads.emplace_back([&, channel] { mail_often(comm, mailbox, channel, 60, wrong); });
    sum_often(comm, 60, wrong);
  }
  BOOST_TEST(wrong == 0);
  mailbox.flush();
  comm.barrier();
}

void check_poll_during_collective(Comm& comm, Mailbox& mailbox) {
  // Rank 0 stays outside until everyone who is inside has answered from another thread.
  if (comm.rank() == 0) {
    for (int to = 1; to < comm.size(); ++to) mailbox.post(to, Channel::lease, 1, std::string(100'000, 'q'));
    for (int left = comm.size() - 1; left > 0; --left) BOOST_TEST(mailbox.take(Channel::coordinator).kind == 2);
    comm.barrier();
  } else {
    std::jthread answer([&] {
      mailbox.take(Channel::lease);
      mailbox.post(0, Channel::coordinator, 2, std::string(100'000, 'a'));
      mailbox.flush();
    });
    comm.barrier();
  }
  mailbox.flush();
  comm.barrier();
}

}  // namespace thresher::comm
