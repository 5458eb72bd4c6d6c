#include "comm/comm_contract.h"

namespace comm = thresher::comm;

BOOST_AUTO_TEST_CASE(self_comm_keeps_the_contract) {
  const auto self = comm::self_comm();
  BOOST_TEST(self->size() == 1);
  comm::check_comm(*self);
  const auto mailbox = comm::self_mailbox();
  comm::check_mailbox(*self, *mailbox, 20);
}

BOOST_AUTO_TEST_CASE(mpi_comm_keeps_the_contract) {
  const auto world = comm::mpi_comm();
  comm::check_comm(*world);
}

BOOST_AUTO_TEST_CASE(mpi_mailbox_keeps_the_contract) {
  const auto world = comm::mpi_comm();
  const auto mailbox = comm::mpi_mailbox();
  comm::check_mailbox(*world, *mailbox, 40);
}
