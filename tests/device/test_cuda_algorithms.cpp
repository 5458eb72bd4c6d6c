#include <boost/test/unit_test.hpp>

#include "device/cuda/algorithms.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

const std::string machine = "NVIDIA H100, sm_90 of 132 processors, cuBLASLt 13.1.0";

Choice choice_of(std::uint64_t seed) {
  Choice choice;
  for (std::uint64_t& word : choice.algorithm) word = seed = seed * 6364136223846793005u + 1442695040888963407u;
  choice.workspace = static_cast<std::int64_t>(seed % 1000);
  choice.slabs = seed % 2 == 0;
  return choice;
}

Algorithms filled() {
  Algorithms algorithms(machine);
  std::uint64_t seed = 1;
  for (const std::int64_t outputs : {1, 1024, 57344})
    for (const Number in : {Number::f32, Number::bf16})
      for (const Epilogue epilogue : {Epilogue::none, Epilogue::bias, Epilogue::accumulate})
        algorithms.add({outputs, 4096, in, Number::f32, epilogue}, choice_of(++seed));
  return algorithms;
}

bool damaged(const base::Error& error) {
  return error.code() == base::Exit::data;
}

BOOST_AUTO_TEST_SUITE(cuda_algorithms)

BOOST_AUTO_TEST_CASE(every_choice_comes_back) {
  const Algorithms before = filled();
  Algorithms after(machine);
  BOOST_TEST(after.merge(before.text()));
  BOOST_TEST(after.size() == 18u);
  BOOST_TEST(after.text() == before.text());
  const ProductKey key{1024, 4096, Number::bf16, Number::f32, Epilogue::bias};
  BOOST_REQUIRE(after.find(key));
  BOOST_TEST((*after.find(key) == *before.find(key)));
  BOOST_TEST(!after.find({1024, 4097, Number::bf16, Number::f32, Epilogue::bias}));
  BOOST_TEST(!after.find({1024, 4096, Number::bf16, Number::bf16, Epilogue::bias}));
}

BOOST_AUTO_TEST_CASE(merging_adds_and_replaces) {
  Algorithms mine = filled(), theirs(machine);
  const ProductKey known{1024, 4096, Number::bf16, Number::f32, Epilogue::none}, other{8, 8};
  theirs.add(known, choice_of(99));
  theirs.add(other, choice_of(100));
  BOOST_TEST(mine.merge(theirs.text()));
  BOOST_TEST(mine.size() == 19u);
  BOOST_TEST((*mine.find(known) == choice_of(99)));
  BOOST_TEST((*mine.find(other) == choice_of(100)));
}

BOOST_AUTO_TEST_CASE(another_machine_s_choices_are_not_taken) {
  Algorithms other("NVIDIA A100, sm_80 of 108 processors, cuBLASLt 13.1.0");
  BOOST_TEST(!other.merge(filled().text()));
  BOOST_TEST(other.size() == 0u);
}

BOOST_AUTO_TEST_CASE(damaged_text_is_refused_whole) {
  const std::string good = filled().text();
  const std::size_t second = good.find('\n') + 1;
  const std::string header = good.substr(0, second);
  for (const std::string& bad :
       {std::string("something else\n"), good.substr(0, good.size() - 1), good.substr(0, good.rfind(' ')) + "\n",
        header + "0 4096 0 0 0 0 0 1 2 3 4 5 6 7 8\n", header + "8 4096 2 0 0 0 0 1 2 3 4 5 6 7 8\n",
        header + "8 4096 0 0 3 0 0 1 2 3 4 5 6 7 8\n", header + "8 4096 0 0 0 99999999999 0 1 2 3 4 5 6 7 8\n",
        header + "8 4096 0 0 0 0 2 1 2 3 4 5 6 7 8\n", header + "8 4096 0 0 0 0 0 1 2 3 4 5 6 7 x\n",
        header + "8 4096 0 0 0 0 0 1 2 3 4 5 6 7 11112222333344445\n", header + "8 4096 0 0 0 0 0 1 2 3 4 5 6 7\n",
        header + "8 4096 0 0 0 0 0 1 2 3 4 5 6 7 8 9\n"}) {
    Algorithms algorithms(machine);
    BOOST_CHECK_EXCEPTION(algorithms.merge(bad), base::Error, damaged);
    BOOST_TEST(algorithms.size() == 0u);
  }
  Algorithms algorithms(machine);
  BOOST_TEST(algorithms.merge(header + "8 4096 0 0 0 0 0 1 2 3 4 5 6 7 ffffffffffffffff\n"));
  BOOST_TEST(algorithms.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
