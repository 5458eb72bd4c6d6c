// The main of test programs that run under mpirun: every rank runs the same cases in the same order.
#define BOOST_TEST_NO_MAIN
#include <mpi.h>

#include <boost/test/unit_test.hpp>

namespace {

bool no_setup() {
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  int provided = 0;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_SERIALIZED, &provided);
  const int failed = boost::unit_test::unit_test_main(no_setup, argc, argv);
  if (failed) MPI_Abort(MPI_COMM_WORLD, failed);
  MPI_Finalize();
  return 0;
}
