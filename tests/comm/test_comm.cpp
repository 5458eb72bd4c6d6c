#include "comm/comm_contract.h"
#include "comm/pipe_contract.h"
#include "comm/reduce_contract.h"

namespace comm = thresher::comm;

namespace {

struct World {
  std::unique_ptr<comm::Comm> self = comm::self_comm();
  std::unique_ptr<comm::Comm> world = comm::mpi_comm();

  void both(void (*check)(comm::Comm&)) {
    check(*self);
    check(*world);
  }
};

}  // namespace

BOOST_FIXTURE_TEST_CASE(ranks_meet_and_gather, World) {
  BOOST_TEST(self->size() == 1);
  both(comm::check_comm);
}

BOOST_FIXTURE_TEST_CASE(messages_arrive_in_order, World) {
  const auto own = comm::self_mailbox();
  comm::check_mailbox(*self, *own, 20);
  const auto mailbox = comm::mpi_mailbox();
  comm::check_mailbox(*world, *mailbox, 40);
}

BOOST_FIXTURE_TEST_CASE(broadcasts_reach_all, World) {
  both(comm::check_broadcast);
}

BOOST_FIXTURE_TEST_CASE(pairs_exchange, World) {
  both(comm::check_exchange);
}

BOOST_FIXTURE_TEST_CASE(sums_follow_one_tree, World) {
  both(comm::check_all_reduce);
}

BOOST_FIXTURE_TEST_CASE(splits_are_groups_of_their_own, World) {
  both(comm::check_split);
}

BOOST_FIXTURE_TEST_CASE(pipes_keep_order_and_bytes, World) {
  both(comm::check_pipes);
}

BOOST_FIXTURE_TEST_CASE(pipes_can_be_polled, World) {
  both(comm::check_polling);
}
