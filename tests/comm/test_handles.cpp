// The count of MPI's handles that the other tests end with can fail.
#include <mpi.h>

#include <boost/test/unit_test.hpp>

#include "comm/handles.h"
#include "thresher/comm/comm.h"

namespace comm = thresher::comm;

BOOST_AUTO_TEST_CASE(what_is_not_freed_is_counted) {
  const comm::Handles before = comm::open_handles();
  MPI_Comm copy = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &copy);
  BOOST_TEST(comm::open_handles().communicators == before.communicators + 1);

  int number = 0;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&number, 1, MPI_INT, MPI_ANY_SOURCE, 7, copy, &request);
  BOOST_TEST(comm::open_handles().requests == before.requests + 1);
  MPI_Cancel(&request);
  BOOST_TEST(comm::open_handles().requests == before.requests + 1);
  MPI_Wait(&request, MPI_STATUS_IGNORE);

  MPI_Group group = MPI_GROUP_NULL;
  MPI_Comm_group(copy, &group);
  BOOST_TEST(comm::open_handles().groups == before.groups + 1);
  MPI_Group_free(&group);

  MPI_Win window = MPI_WIN_NULL;
  void* shared = nullptr;
  MPI_Win_allocate_shared(8, 1, MPI_INFO_NULL, MPI_COMM_SELF, &shared, &window);
  BOOST_TEST(comm::open_handles().windows == before.windows + 1);
  MPI_Win_free(&window);

  MPI_Comm_free(&copy);
  BOOST_TEST((comm::open_handles() == before));
}

BOOST_AUTO_TEST_CASE(a_forgotten_communicator_is_counted) {
  const long before = comm::open_handles().communicators, made = comm::made_handles().communicators;
  auto world = comm::mpi_comm();
  auto part = world->split(0, 0);
  BOOST_TEST(comm::made_handles().communicators == made + 2);
  BOOST_TEST(comm::open_handles().communicators == before + 2);
  world.reset();
  BOOST_TEST(comm::open_handles().communicators == before + 1);
  part.reset();
  BOOST_TEST(comm::open_handles().communicators == before);
}
