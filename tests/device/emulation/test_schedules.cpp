// Every kernel gives the same bits on every schedule, and every barrier in it is needed: without it some schedule gives
// others. What a shuffle hides is named.
#include <functional>
#include <set>

#include "device/emulation/emulated_device.h"
#include "device/emulation/schedules.h"
#include "device/plain.h"

namespace thresher::device {
namespace {

using contract::Plain;
using Bytes = std::vector<std::uint8_t>;

Bytes joined(std::initializer_list<Plain*> outputs) {
  Bytes all;
  for (Plain* output : outputs) {
    const Bytes bytes = output->read().bytes();
    all.insert(all.end(), bytes.begin(), bytes.end());
  }
  return all;
}

Bytes norm(Device& device) {
  Plain x(device, DType::f32, 5, 300), gain(device, DType::f32, 1, 300), rows(device, DType::i32, 1, 3),
      out(device, DType::bf16, 3, 300);
  x.random(1), gain.random(2);
  rows.fill([](auto, auto c) { return 4 - 2 * c; });
  device.norm(x.view(), rows.view(), gain.view(), 1e-5f, out.view());
  return joined({&out});
}

Bytes rope(Device& device) {
  Plain x(device, DType::bf16, 3, 3 * 40), table(device, DType::f32, 3, 20), rows(device, DType::i32, 1, 3),
      gain(device, DType::f32, 1, 40);
  x.random(1), table.random(2), gain.random(3);
  rows.fill([](auto, auto c) { return 2 - c; });
  device.rope(x.view(), {rows.view(), table.view(), table.view(), 40, gain.view(), 1e-5f});
  return joined({&x});
}

Bytes finish(Device& device) {
  const std::vector<float> matrix = contract::random_matrix(1, 70 * 64, 1);
  const std::int64_t cuts[] = {0, 8, 16, 24, 24, 40, 48, 56, 64};
  const auto weight =
      device.pack(tensor::matrix(const_cast<float*>(matrix.data()), DType::f32, 70, 64), DType::f32, cuts);
  Plain x(device, DType::f32, 3, 64), bias(device, DType::f32, 1, 70), out(device, DType::f32, 3, 70);
  x.random(2), bias.random(3), out.random(4);
  device.matmul(x.view(), *weight, bias.view(), true, out.view());
  return joined({&out});
}

struct Heads {
  std::int64_t query, kv, size, window;
  std::int64_t shift = 0;  // of the views' first column
};

Bytes attend(Device& device, DType dtype, DType to, const Heads& heads) {
  constexpr std::int64_t tokens = 136;
  const std::int64_t width = heads.query * heads.size, kv_width = heads.kv * heads.size;
  Plain q(device, dtype, tokens, width + 8), k(device, dtype, tokens, kv_width + 8),
      v(device, dtype, tokens, kv_width + 8), out(device, to, tokens, width), starts(device, DType::i32, 1, 6);
  const auto numbers = [&](Plain& x, std::uint64_t seed) {
    const std::vector<float> values = contract::random_matrix(seed, tokens * x.view().columns, 1.5f);
    const std::int64_t columns = x.view().columns;
    x.fill([&](auto r, auto c) {
      return c < heads.shift ? 0 : values[static_cast<std::size_t>(r * columns + c - heads.shift)];
    });
  };
  numbers(q, 1), numbers(k, 2), numbers(v, 3);
  const std::int64_t begins[] = {-9, 0, 1, 131, 133, tokens};
  starts.fill([&](auto, auto c) { return begins[c]; });
  device.attend(q.view().columns_from(heads.shift, width), k.view().columns_from(heads.shift, kv_width),
                v.view().columns_from(heads.shift, kv_width), {starts.view().columns_from(1, 5), 4, 130},
                {heads.query, heads.kv, heads.size, 0.2f, heads.window}, out.view());
  return joined({&out});
}

Bytes score(Device& device, std::int64_t top) {
  constexpr std::int64_t rows = 5, width = 8, vocabulary = 3500;
  const std::vector<float> matrix = contract::random_matrix(1, vocabulary * width, 1);
  const auto head =
      device.pack(tensor::matrix(const_cast<float*>(matrix.data()), DType::f32, vocabulary, width), DType::f32);
  Plain hidden(device, DType::f32, rows, width), targets(device, DType::i32, 1, rows),
      reference(device, DType::f32, 8, rows), sum(device, DType::f32, 8, rows), weighted(device, DType::f32, 8, rows),
      above(device, DType::i32, 1, rows), found(device, DType::f32, 1, rows), expected(device, DType::f32, 1, rows),
      top_id(device, DType::i32, rows, top), top_logit(device, DType::f32, rows, top);
  hidden.random(2);
  targets.fill([](auto, auto c) { return 777 * c; });
  const auto cuts = vocabulary_cuts(vocabulary);
  device.target_logits(hidden.view(), *head, targets.view(), 0, expected.view());
  device.score(
      hidden.view(), *head, {targets.view(), 0, cuts, expected.view()},
      {reference.view(), sum.view(), weighted.view(), above.view(), found.view(), top_id.view(), top_logit.view()});
  return joined({&reference, &sum, &weighted, &above, &found, &expected, &top_id, &top_logit});
}

struct Schedules {
  std::unique_ptr<Device> device = emulation::make_emulated_device();
  ~Schedules() { emulation::settings() = emulation::Settings{}; }

  // Barriers, of which `hidden` are not shown to be needed.
  void check(std::size_t barriers, std::size_t hidden, const std::function<Bytes(Device&)>& kernel) {
    emulation::take_barriers();
    const Bytes expected = kernel(*device);
    const std::set<std::string> places = emulation::take_barriers();
    BOOST_TEST(places.size() == barriers);
    emulation::with_schedules([&] { BOOST_TEST((kernel(*device) == expected)); });
    std::size_t without_use = 0;
    for (const std::string& place : places)
      if (!emulation::is_needed(place, [&] { return kernel(*device) == expected; })) {
        BOOST_TEST_MESSAGE("not needed here: " << place);
        ++without_use;
      }
    BOOST_TEST(without_use == hidden);
  }
};

BOOST_FIXTURE_TEST_SUITE(schedules, Schedules)

BOOST_AUTO_TEST_CASE(rows) {
  check(1, 0, norm);
  check(0, 0, rope);
  check(0, 0, finish);
}

constexpr Heads attended[] = {{2, 1, 40, 0}, {3, 3, 7, 3}, {1, 1, 200, 70}};

BOOST_AUTO_TEST_CASE(attend_f32) {
  for (const Heads& heads : attended) check(4, 0, [&](Device& d) { return attend(d, DType::f32, DType::f32, heads); });
}

// Rows that are not aligned are copied at once: nothing to wait for.
BOOST_AUTO_TEST_CASE(attend_bf16) {
  for (const Heads& heads : attended)
    check(4, heads.size % 8 == 0 ? 0 : 2, [&](Device& d) { return attend(d, DType::bf16, DType::bf16, heads); });
}

BOOST_AUTO_TEST_CASE(attend_split) {
  for (const Heads& heads : attended) check(2, 0, [&](Device& d) { return attend(d, DType::f32, DType::bf16, heads); });
}

// Lists shorter and longer than a warp. The lists' barriers stand beside shuffles, which here order memory too.
BOOST_AUTO_TEST_CASE(streamed_head) {
  check(3, 2, [](Device& d) { return score(d, 5); });
  check(3, 1, [](Device& d) { return score(d, 70); });
}

// Copies of 16 bytes or of single numbers, the same bits.
BOOST_AUTO_TEST_CASE(alignment) {
  const std::pair<DType, DType> types[] = {
      {DType::f32, DType::f32}, {DType::f32, DType::bf16}, {DType::bf16, DType::bf16}};
  for (const auto& [from, to] : types)
    for (const std::int64_t size : {40, 128})
      BOOST_TEST((attend(*device, from, to, {4, 2, size, 50, 0}) == attend(*device, from, to, {4, 2, size, 50, 3})));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device
