#include <boost/test/unit_test.hpp>

#include "schedule/transport.h"
#include "thresher/base/check.h"

namespace thresher::schedule {
namespace {

constexpr comm::Layout pipeline{.data = 1, .stages = 2, .shards = 1};
constexpr comm::Layout replicas{.data = 2, .stages = 1, .shards = 1};

using Ends = std::vector<TransportEnd>;

const Ends good{{"a GPU-1", {22809, ""}}, {"a GPU-2", {22809, ""}}};
const Ends shared{{"a GPU-1", {22809, ""}}, {"a GPU-1", {22809, ""}}};
const Ends bare{{"a GPU-1", {22809, ""}}, {"b GPU-1", {0, "NCCL cannot be loaded"}}};
const Ends mixed{{"a GPU-1", {22809, ""}}, {"b GPU-1", {22103, ""}}};

void check_refused(const Ends& ends, const std::string& why) {
  const Transport transport = choose_transport(GpuTransport::automatic, pipeline, ends);
  BOOST_TEST(!transport.nccl);
  BOOST_TEST(transport.text == "through the host: " + why);
  const auto says_why = [&](const base::Error& error) {
    return error.code() == base::Exit::config && error.what() == "--gpu-transport nccl cannot be: " + why;
  };
  BOOST_CHECK_EXCEPTION(choose_transport(GpuTransport::nccl, pipeline, ends), base::Error, says_why);
}

BOOST_AUTO_TEST_SUITE(transport)

BOOST_AUTO_TEST_CASE(nccl_where_it_can_be) {
  for (const GpuTransport wanted : {GpuTransport::automatic, GpuTransport::nccl}) {
    const Transport chosen = choose_transport(wanted, pipeline, good);
    BOOST_TEST(chosen.nccl);
    BOOST_TEST(chosen.text == "NCCL 2.28.9");
  }
  BOOST_TEST(!choose_transport(GpuTransport::host, pipeline, good).nccl);
}

BOOST_AUTO_TEST_CASE(the_reason_is_told_where_it_cannot) {
  check_refused(shared, "ranks 0 and 1 share a GPU, a GPU-1");
  check_refused(bare, "rank 1: NCCL cannot be loaded");
  check_refused(mixed, "rank 0 has NCCL 2.28.9, rank 1 has 2.21.3");
}

BOOST_AUTO_TEST_CASE(replicas_exchange_nothing) {
  for (const GpuTransport wanted : {GpuTransport::automatic, GpuTransport::nccl, GpuTransport::host})
    BOOST_TEST(!choose_transport(wanted, replicas, bare).nccl);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::schedule
