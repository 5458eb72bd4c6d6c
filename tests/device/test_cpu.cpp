#include <boost/test/unit_test.hpp>
#include <thread>

#include "device/device_contract.h"
#include "device/order_changing.h"

namespace thresher::device {
namespace {

struct Cpu {
  std::unique_ptr<Device> one = make_cpu_device({.threads = 1});
  std::unique_ptr<Device> two = make_cpu_device({.threads = 2});
};

BOOST_FIXTURE_TEST_SUITE(cpu_device, Cpu)

BOOST_AUTO_TEST_CASE(says_what_it_is) {
  BOOST_TEST_MESSAGE("instruction set " << one->isa());
  BOOST_TEST(one->kind() == "cpu");
  BOOST_TEST(two->threads() == 2);
}

BOOST_AUTO_TEST_CASE(embed) {
  contract::check_embed(*two);
}
BOOST_AUTO_TEST_CASE(norm) {
  contract::check_norm(*two);
}
BOOST_AUTO_TEST_CASE(rope) {
  contract::check_rope(*two);
}
BOOST_AUTO_TEST_CASE(gate) {
  contract::check_gate(*two);
}
BOOST_AUTO_TEST_CASE(matmul) {
  contract::check_matmul(*two);
}
BOOST_AUTO_TEST_CASE(matmul_gate) {
  contract::check_matmul_gate(*one);
  contract::check_matmul_gate(*two);
}
BOOST_AUTO_TEST_CASE(bits_depend_on_no_threads) {
  const auto many = make_cpu_device({.threads = 33});
  contract::check_same_products(*one, *many);
  contract::check_same_attend(*one, *many);
}
BOOST_AUTO_TEST_CASE(int8) {
  contract::check_int8(*one);
  contract::check_int8(*two);
}
BOOST_AUTO_TEST_CASE(attend) {
  contract::check_attend(*two);
}
BOOST_AUTO_TEST_CASE(score) {
  contract::check_score(*two);
}
BOOST_AUTO_TEST_CASE(queue) {
  contract::check_queue(*two);
  BOOST_TEST(!two->use());
}
BOOST_AUTO_TEST_CASE(queued_copies) {
  contract::check_queued_copies(*two);
}
BOOST_AUTO_TEST_CASE(score_ties) {
  contract::check_score_ties(*two);
}
BOOST_AUTO_TEST_CASE(score_of_broken_logits) {
  contract::check_score_of_broken_logits(*two);
}
BOOST_AUTO_TEST_CASE(bring) {
  contract::check_bring(*two);
}
BOOST_AUTO_TEST_CASE(pieces) {
  contract::check_pieces(*two);
}
BOOST_AUTO_TEST_CASE(columns) {
  contract::check_columns(*two);
}
BOOST_AUTO_TEST_CASE(embed_of_part) {
  contract::check_embed_of_part(*two);
}
BOOST_AUTO_TEST_CASE(attend_of_part) {
  contract::check_attend_of_part(*two);
}
BOOST_AUTO_TEST_CASE(attend_of_shared) {
  contract::check_attend_of_shared(*two);
}
BOOST_AUTO_TEST_CASE(split_vocabulary) {
  contract::check_split_vocabulary(*two);
}
BOOST_AUTO_TEST_CASE(same_bits) {
  contract::check_same_bits(*one, *two);
}
BOOST_AUTO_TEST_CASE(same_bits_finds_another_order) {
  OrderChangingDevice changing(*one, 100);
  for (const DType dtype : {DType::f32, DType::bf16})
    BOOST_TEST(!contract::changed_bits(changing, changing, dtype).empty(), tensor::name_of(dtype));
}

BOOST_AUTO_TEST_CASE(works_from_another_thread) {
  std::thread([&] { contract::check_matmul(*two); }).join();
}

// No comparison of two rates: the machine may be busy with other things during one of them.
BOOST_AUTO_TEST_CASE(peak) {
  for (const DType dtype : {DType::f32, DType::bf16, DType::i8}) {
    const double flops = one->measure_peak(dtype, 0.02);
    BOOST_TEST(flops > 1e8);
    BOOST_TEST(flops < 1e13);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
