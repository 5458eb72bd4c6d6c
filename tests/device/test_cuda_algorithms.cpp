#include <boost/test/unit_test.hpp>

#include "device/cuda/algorithms.h"
#include "device/cuda/product_choice.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

const std::string machine = "sm_90 of 132 processors, cuBLASLt 13.1.0";
const std::string products = products_section;

Choice choice_of(std::uint64_t seed) {
  Choice choice;
  for (std::uint64_t& word : choice.algorithm) word = seed = seed * 6364136223846793005u + 1442695040888963407u;
  choice.workspace = static_cast<std::int64_t>(seed % 1000);
  choice.slabs = seed % 2 == 0;
  return choice;
}

Algorithms empty(const std::string& on = machine) {
  Algorithms algorithms(on);
  algorithms.know(products, [](std::string_view key, std::string_view choice) {
    return read_product_key(key) && read_product_choice(choice);
  });
  return algorithms;
}

Algorithms filled() {
  Algorithms algorithms = empty();
  std::uint64_t seed = 1;
  for (const std::int64_t outputs : {1, 1024, 57344})
    for (const Number in : {Number::f32, Number::bf16})
      for (const Epilogue epilogue : {Epilogue::none, Epilogue::bias, Epilogue::accumulate})
        algorithms.add(products, text_of(ProductKey{outputs, 4096, in, Number::f32, epilogue}),
                       text_of(choice_of(++seed)));
  algorithms.add("attention", "bf16 32 8 128", "own");
  return algorithms;
}

bool damaged(const base::Error& error) {
  return error.code() == base::Exit::data;
}

BOOST_AUTO_TEST_SUITE(cuda_algorithms)

BOOST_AUTO_TEST_CASE(keys_and_choices_of_products_come_back) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const ProductKey key{static_cast<std::int64_t>(seed) + 1, 4096, static_cast<Number>(seed % 2),
                         static_cast<Number>(seed / 2 % 2), static_cast<Epilogue>(seed % 3)};
    BOOST_TEST((read_product_key(text_of(key)) == key));
    BOOST_TEST((read_product_choice(text_of(choice_of(seed))) == choice_of(seed)));
  }
  BOOST_TEST(text_of(ProductKey{1024, 4096, Number::bf16, Number::f32, Epilogue::bias}) == "1024 4096 bf16 f32 bias");
}

BOOST_AUTO_TEST_CASE(every_choice_comes_back) {
  const Algorithms before = filled();
  Algorithms after = empty();
  after.merge(before.text());
  BOOST_TEST(after.size() == 19u);
  BOOST_TEST(after.text() == before.text());
  BOOST_REQUIRE(after.find(products, "1024 4096 bf16 f32 bias"));
  BOOST_TEST(*after.find(products, "1024 4096 bf16 f32 bias") == *before.find(products, "1024 4096 bf16 f32 bias"));
  BOOST_TEST(!after.find(products, "1024 4097 bf16 f32 bias"));
  BOOST_TEST(!after.find("elsewhere", "1024 4096 bf16 f32 bias"));
}

BOOST_AUTO_TEST_CASE(sections_that_nobody_knows_are_kept) {
  Algorithms after = empty();
  after.merge(filled().text());
  BOOST_REQUIRE(after.find("attention", "bf16 32 8 128"));
  BOOST_TEST(*after.find("attention", "bf16 32 8 128") == "own");
}

BOOST_AUTO_TEST_CASE(the_first_to_say_something_is_right) {
  Algorithms mine = filled(), theirs = empty();
  const std::string known = "1024 4096 bf16 f32 none", other = "8 8 f32 f32 none";
  const std::string before = *mine.find(products, known);
  theirs.add(products, known, text_of(choice_of(99)));
  theirs.add(products, other, text_of(choice_of(100)));
  mine.merge(theirs.text());
  BOOST_TEST(mine.size() == 20u);
  BOOST_TEST(*mine.find(products, known) == before);
  BOOST_TEST(*mine.find(products, other) == text_of(choice_of(100)));
  Algorithms both = empty();
  both.merge(filled().text() + theirs.text());
  BOOST_TEST(both.text() == mine.text());
}

BOOST_AUTO_TEST_CASE(another_machine_s_choices_are_refused) {
  Algorithms other = empty("sm_80 of 108 processors, cuBLASLt 13.1.0");
  BOOST_CHECK_EXCEPTION(other.merge(filled().text()), base::Error, [](const base::Error& error) {
    const std::string text = error.what();
    return error.code() == base::Exit::config && text.find("sm_80") != std::string::npos &&
           text.find("sm_90") != std::string::npos;
  });
  BOOST_TEST(other.size() == 0u);
}

BOOST_AUTO_TEST_CASE(damaged_text_is_refused_whole) {
  const std::string good = filled().text();
  const std::string header = "thresher cuda algorithms 2\nmachine " + machine + "\n";
  const std::string section = header + "[products]\n", algorithm = " : 0 0 1 2 3 4 5 6 7 8\nend\n";
  for (const std::string& bad : {std::string("something else\n"),
                                 "thresher cuda algorithms 1: " + machine + "\n",
                                 good.substr(0, good.size() - 1),
                                 good.substr(0, good.rfind("end")),
                                 good + "more\n",
                                 header + "[]\nend\n",
                                 header + "8 4096 f32 f32 none" + algorithm,
                                 section + "0 4096 f32 f32 none" + algorithm,
                                 section + "8 4096 f16 f32 none" + algorithm,
                                 section + "8 4096 f32 f32 gelu" + algorithm,
                                 section + "8 4096 f32 f32" + algorithm,
                                 section + "8 4096 f32 f32 none 1" + algorithm,
                                 section + "8 4096 f32 f32 none\nend\n",
                                 section + " : 0 0 1 2 3 4 5 6 7 8\nend\n",
                                 section + "8 4096 f32 f32 none : 99999999999 0 1 2 3 4 5 6 7 8\nend\n",
                                 section + "8 4096 f32 f32 none : 0 2 1 2 3 4 5 6 7 8\nend\n",
                                 section + "8 4096 f32 f32 none : 0 0 1 2 3 4 5 6 7 x\nend\n",
                                 section + "8 4096 f32 f32 none : 0 0 1 2 3 4 5 6 7 11112222333344445\nend\n",
                                 section + "8 4096 f32 f32 none : 0 0 1 2 3 4 5 6 7\nend\n",
                                 section + "8 4096 f32 f32 none : 0 0 1 2 3 4 5 6 7 8 9\nend\n"}) {
    Algorithms algorithms = empty();
    BOOST_CHECK_EXCEPTION(algorithms.merge(bad), base::Error, damaged);
    BOOST_TEST(algorithms.size() == 0u);
  }
  Algorithms algorithms = empty();
  algorithms.merge(section + "8 4096 f32 f32 none : 0 0 1 2 3 4 5 6 7 ffffffffffffffff\nend\n");
  BOOST_TEST(algorithms.size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
