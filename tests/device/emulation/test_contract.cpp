// The device contract, on the CUDA kernels. But for attend_of_part, which takes too long here (see test_attend.cpp), and
// columns, which is about matrix products alone.
#include <boost/test/unit_test.hpp>

#include "device/device_contract.h"
#include "device/emulation/emulated_device.h"

namespace thresher::device {
namespace {

struct Emulated {
  std::unique_ptr<Device> device = emulation::make_emulated_device();
};

BOOST_FIXTURE_TEST_SUITE(emulated_contract, Emulated)

BOOST_AUTO_TEST_CASE(embed) {
  contract::check_embed(*device);
}
BOOST_AUTO_TEST_CASE(norm) {
  contract::check_norm(*device);
}
BOOST_AUTO_TEST_CASE(rope) {
  contract::check_rope(*device);
}
BOOST_AUTO_TEST_CASE(gate) {
  contract::check_gate(*device);
}
BOOST_AUTO_TEST_CASE(matmul) {
  contract::check_matmul(*device);
}
BOOST_AUTO_TEST_CASE(attend) {
  contract::check_attend(*device);
}
BOOST_AUTO_TEST_CASE(score) {
  contract::check_score(*device);
}
BOOST_AUTO_TEST_CASE(score_ties) {
  contract::check_score_ties(*device);
}
BOOST_AUTO_TEST_CASE(score_of_broken_logits) {
  contract::check_score_of_broken_logits(*device);
}
BOOST_AUTO_TEST_CASE(bring) {
  contract::check_bring(*device);
}
BOOST_AUTO_TEST_CASE(pieces) {
  contract::check_pieces(*device);
}
BOOST_AUTO_TEST_CASE(embed_of_part) {
  contract::check_embed_of_part(*device);
}
BOOST_AUTO_TEST_CASE(split_vocabulary) {
  contract::check_split_vocabulary(*device);
}
BOOST_AUTO_TEST_CASE(same_bits) {
  contract::check_same_bits(*device, *device);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
