// What every Comm and every Mailbox has to do, whatever carries the bytes.
#pragma once

#include <boost/test/unit_test.hpp>
#include <map>
#include <string>
#include <vector>

#include "thresher/comm/comm.h"
#include "thresher/comm/mailbox.h"

namespace thresher::comm {

// Collective.
inline void check_comm(Comm& comm) {
  BOOST_TEST_REQUIRE(comm.size() >= 1);
  BOOST_TEST_REQUIRE(comm.rank() >= 0);
  BOOST_TEST_REQUIRE(comm.rank() < comm.size());
  comm.barrier();

  for (int root = 0; root < comm.size(); ++root) {
    const std::string expected(static_cast<std::size_t>(root * 100'000), static_cast<char>('a' + root));
    std::string bytes = comm.rank() == root ? expected : "something else";
    comm.broadcast(bytes, root);
    BOOST_TEST(bytes == expected);
  }

  const std::string own(static_cast<std::size_t>(comm.rank() * 3), static_cast<char>('0' + comm.rank()));
  const std::vector<std::string> all = comm.all_gather(own);
  BOOST_TEST_REQUIRE(static_cast<int>(all.size()) == comm.size());
  for (int r = 0; r < comm.size(); ++r)
    BOOST_TEST(all[r] == std::string(static_cast<std::size_t>(r * 3), static_cast<char>('0' + r)));
}

// Collective. Everyone posts `count` messages of growing size to everyone on both channels; everyone gets all of them,
// each sender's in order.
inline void check_mailbox(Comm& comm, Mailbox& mailbox, int count) {
  auto content = [](int from, int to, int i) {
    return std::string(static_cast<std::size_t>(i * i * 37), static_cast<char>(from * 16 + to)) + std::to_string(i);
  };
  BOOST_TEST(!mailbox.poll(Channel::lease).has_value());
  comm.barrier();
  for (int i = 0; i < count; ++i)
    for (int to = 0; to < comm.size(); ++to)
      for (Channel channel : {Channel::coordinator, Channel::lease})
        mailbox.post(to, channel, i, content(comm.rank(), to, i));
  for (Channel channel : {Channel::lease, Channel::coordinator}) {
    std::map<int, int> next;
    for (int left = count * comm.size(); left > 0; --left) {
      const Message message = mailbox.take(channel);
      const int i = next[message.from]++;
      BOOST_TEST(message.kind == i);
      BOOST_TEST((message.bytes == content(message.from, comm.rank(), i)));
    }
    BOOST_TEST(static_cast<int>(next.size()) == comm.size());
  }
  mailbox.flush();
  comm.barrier();
}

}  // namespace thresher::comm
