#include "thresher/tensor/tensor.h"

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/tensor/buffer.h"

namespace thresher::tensor {
namespace {

BOOST_AUTO_TEST_CASE(views_of_rows_and_columns_keep_the_stride) {
  std::vector<float> numbers(6 * 10);
  for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<float>(i);
  const Tensor all = matrix(numbers.data(), DType::f32, 6, 10);
  const Tensor part = all.rows_from(2, 3).columns_from(4, 5);
  BOOST_TEST(part.rows == 3);
  BOOST_TEST(part.columns == 5);
  BOOST_TEST(part.stride == 10);
  BOOST_TEST(part.elements() == 15);
  BOOST_TEST(part.row<float>(0)[0] == 24);
  BOOST_TEST(part.row<float>(2)[4] == 48);
}

BOOST_AUTO_TEST_CASE(offsets_count_the_size_of_the_type) {
  std::vector<std::uint16_t> numbers{0, 1, 2, 3, 4, 5, 6, 7};
  const Tensor all = matrix(numbers.data(), DType::bf16, 2, 4);
  BOOST_TEST(*all.rows_from(1, 1).columns_from(2, 1).as<std::uint16_t>() == 6);
  BOOST_TEST(size_of(DType::i32) == 4);
  BOOST_TEST(size_of(DType::u8) == 1);
  BOOST_TEST(name_of(DType::bf16) == "bf16");
}

BOOST_AUTO_TEST_CASE(an_empty_view_is_false) {
  BOOST_TEST(!Tensor{});
  float number = 0;
  BOOST_TEST(static_cast<bool>(row_vector(&number, DType::f32, 1)));
}

BOOST_AUTO_TEST_CASE(a_buffer_is_released_once_by_its_last_owner) {
  int released = 0;
  char memory[8];
  {
    Buffer first(memory, 8, [&](void* data, std::int64_t bytes) {
      BOOST_TEST(data == memory);
      BOOST_TEST(bytes == 8);
      ++released;
    });
    Buffer second(std::move(first));
    BOOST_TEST(first.data() == nullptr);
    Buffer third;
    third = std::move(second);
    BOOST_TEST(third.bytes() == 8);
    BOOST_TEST(released == 0);
  }
  BOOST_TEST(released == 1);
}

BOOST_AUTO_TEST_CASE(host_memory_is_aligned) {
  for (const std::int64_t bytes : {0, 1, 63, 64, 1000}) {
    const Buffer buffer = host_buffer(bytes);
    BOOST_TEST(buffer.bytes() >= bytes);
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64 == 0);
  }
}

#ifndef __SANITIZE_ADDRESS__  // whose allocator ends the process instead
BOOST_AUTO_TEST_CASE(impossible_host_memory_is_an_error_with_its_size) {
  try {
    host_buffer(std::int64_t{1} << 60);
    BOOST_ERROR("no error");
  } catch (const base::Error& error) {
    BOOST_TEST((error.code() == base::Exit::os));
    BOOST_TEST(std::string(error.what()).find("1152921504606846976") != std::string::npos);
  }
}
#endif

BOOST_AUTO_TEST_CASE(an_arena_hands_out_aligned_tensors_that_do_not_overlap) {
  Arena arena(host_buffer(1024));
  const Tensor a = arena.take(DType::f32, 3, 5), b = arena.take(DType::bf16, 2, 7);
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(b.data) % 64 == 0);
  BOOST_TEST((a.as<char>() + 60 <= b.as<char>()));
  const std::int64_t mark = arena.mark();
  const Tensor c = arena.take(DType::f32, 1, 100);
  arena.release(mark);
  BOOST_TEST(arena.take(DType::i32, 1, 1).data == c.data);
  arena.reset();
  BOOST_TEST(arena.take(DType::f32, 1, 1).data == a.data);
}

BOOST_AUTO_TEST_CASE(an_arena_holds_what_bytes_of_promised_and_no_more) {
  const std::int64_t bytes = Arena::bytes_of(DType::f32, 3, 5) + Arena::bytes_of(DType::bf16, 1, 33);
  BOOST_TEST(bytes == 64 + 128);
  Arena arena(host_buffer(bytes));
  arena.take(DType::f32, 3, 5);
  arena.take(DType::bf16, 1, 33);
  BOOST_CHECK_THROW(arena.take(DType::u8, 1, 1), base::Error);
}

}  // namespace
}  // namespace thresher::tensor
