#include "comm/comm_contract.h"
#include "comm/handles.h"
#include "comm/pipe_contract.h"
#include "comm/reduce_contract.h"
#include "comm/thread_contract.h"

namespace comm = thresher::comm;

namespace {

// Base of World, so that it looks after the communicators are gone.
struct NoLeaks {
  comm::Handles made = comm::made_handles();

  ~NoLeaks() {
    BOOST_TEST(comm::made_handles().communicators > made.communicators);
    BOOST_TEST((comm::open_handles() == comm::Handles{}), "left behind: " << comm::open_handles().text());
  }
};

struct World : NoLeaks {
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

BOOST_FIXTURE_TEST_CASE(threads_share_a_rank, World) {
  const auto own = comm::self_mailbox();
  comm::check_threads(*self, *own);
  const auto mailbox = comm::mpi_mailbox();
  comm::check_threads(*world, *mailbox);
}

BOOST_FIXTURE_TEST_CASE(a_poll_never_waits_for_a_collective, World) {
  const auto mailbox = comm::mpi_mailbox();
  comm::check_poll_during_collective(*world, *mailbox);
}
