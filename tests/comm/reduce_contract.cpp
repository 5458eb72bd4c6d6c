#include "comm/reduce_contract.h"

#include <bit>
#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>

#include "thresher/base/check.h"

namespace thresher::comm {
namespace {

// Around the sizes where exchanges change: empty, single, odd, one block of sums, one piece of a message, several.
constexpr std::size_t lengths[] = {0, 1, 2, 3, 31, 33, 1023, 4096, 8191, 8193, 65535, 65537, 300'001, 1'000'003};

// The numbers of one rank. Magnitudes differ by 2^40, so that every order of summing has other bits.
std::vector<float> numbers(int rank, std::size_t count) {
  std::mt19937 random(static_cast<unsigned>(rank * 7919 + 13));
  std::vector<float> values(count);
  for (float& value : values) {
    const float sign = (random() & 1) != 0 ? 1.0f : -1.0f;
    value = sign * (1.0f + static_cast<float>(random() % 8388608) / 8388608) *
            static_cast<float>(std::uint64_t{1} << random() % 40);
  }
  return values;
}

// Ranks [first, first + count) by halves: ((0+1)+(2+3))+...
std::vector<float> tree_sum(int first, int count, std::size_t length) {
  if (count == 1) return numbers(first, length);
  std::vector<float> low = tree_sum(first, count / 2, length);
  const std::vector<float> high = tree_sum(first + count / 2, count / 2, length);
  for (std::size_t i = 0; i < length; ++i) low[i] += high[i];
  return low;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

bool is_internal(const base::Error& error) {
  return error.code() == base::Exit::internal;
}

// NaNs with different bits from all ranks: everyone has to keep the same one.
void check_nans(Comm& comm, std::size_t length) {
  const float own = std::bit_cast<float>(0x7fc00000u + static_cast<std::uint32_t>(comm.rank()));
  std::vector<float> values(length, own);
  comm.all_reduce(values);
  const std::string bytes(reinterpret_cast<const char*>(values.data()), length * sizeof(float));
  for (const std::string& other : comm.all_gather(bytes)) BOOST_TEST((other == bytes));
}

void check_bits(Comm& comm) {
  for (const std::size_t length : lengths) {
    std::vector<std::uint32_t> bits(length);
    for (std::size_t i = 0; i < length; ++i) bits[i] = (static_cast<std::uint32_t>(i) << 8) | (1u << comm.rank());
    comm.all_reduce_bits(bits);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < length; ++i)
      wrong += bits[i] != ((static_cast<std::uint32_t>(i) << 8) | ((1u << comm.size()) - 1));
    BOOST_TEST(wrong == 0u);
  }
}

void check_sum(Comm& comm, std::size_t length) {
  std::vector<float> values = numbers(comm.rank(), length);
  comm.all_reduce(values);
  BOOST_TEST(same_bits(values, tree_sum(0, comm.size(), length)));
}

// The sum of the ranks' numbers in `comm`, which has to have `size` ranks, this one at `rank`.
void check_group(Comm& comm, int rank, int size) {
  BOOST_TEST_REQUIRE(comm.rank() == rank);
  BOOST_TEST_REQUIRE(comm.size() == size);
  const auto all = comm.all_gather(std::to_string(rank));
  for (int r = 0; r < size; ++r) BOOST_TEST(all[static_cast<std::size_t>(r)] == std::to_string(r));
  if (std::has_single_bit(static_cast<unsigned>(size))) check_sum(comm, 12'345);
}

}  // namespace

void check_broadcast(Comm& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    for (const std::size_t length : lengths) {
      const std::vector<float> expected = numbers(root, length);
      std::vector<float> values = comm.rank() == root ? expected : std::vector<float>(length);
      comm.broadcast(std::as_writable_bytes(std::span(values)), root);
      BOOST_TEST(same_bits(values, expected));
    }
  }
}

void check_exchange(Comm& comm) {
  for (const std::size_t length : lengths) {
    for (int step = 0; step < comm.size(); ++step) {
      const int peer = comm.rank() ^ step;
      if (peer >= comm.size()) continue;
      const std::vector<float> own = numbers(comm.rank(), length);
      std::vector<float> in(length), both = own;
      comm.exchange(peer, std::as_bytes(std::span(own)), std::as_writable_bytes(std::span(in)));
      BOOST_TEST(same_bits(in, numbers(peer, length)));
      comm.exchange(peer, std::as_bytes(std::span(both)), std::as_writable_bytes(std::span(both)));
      BOOST_TEST(same_bits(both, numbers(peer, length)));
    }
  }
  std::vector<std::byte> out(8), in(4);
  BOOST_CHECK_EXCEPTION(comm.exchange(comm.rank(), out, in), base::Error, is_internal);
}

void check_all_reduce(Comm& comm) {
  if (!std::has_single_bit(static_cast<unsigned>(comm.size()))) {
    std::vector<float> values(4);
    std::vector<std::uint32_t> bits(4);
    BOOST_CHECK_EXCEPTION(comm.all_reduce(values), base::Error, is_internal);
    BOOST_CHECK_EXCEPTION(comm.all_reduce_bits(bits), base::Error, is_internal);
    return;
  }
  for (const std::size_t length : lengths) {
    check_sum(comm, length);
    check_nans(comm, length);
  }
  check_bits(comm);
}

void check_split(Comm& comm) {
  BOOST_CHECK_EXCEPTION(comm.split(-1, 0), base::Error, is_internal);
  const int rank = comm.rank(), size = comm.size();
  // All, backwards: the key decides.
  const auto backwards = comm.split(0, -rank);
  check_group(*backwards, size - 1 - rank, size);
  // All with the same key: the rank decides.
  auto same = comm.split(5, 9);
  check_group(*same, rank, size);
  // Neighbours, and in those everyone alone; the parents go before the children.
  auto pair = same->split(rank / 2, rank);
  same.reset();
  const int pair_size = std::min(2, size - rank / 2 * 2);
  check_group(*pair, rank % 2, pair_size);
  const auto alone = pair->split(rank % 2, 0);
  pair.reset();
  check_group(*alone, 0, 1);
  check_group(comm, rank, size);
}

}  // namespace thresher::comm
