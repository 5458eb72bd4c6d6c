#include "device/device_contract.h"
#include "device/grid.h"
#include "thresher/device/row_runs.h"

namespace thresher::device::contract {
namespace {

// A sequence begins with `inherited` rows of the one before it, then come `own` rows.
struct Branch {
  std::int64_t inherited, own;
};

struct Case {
  std::vector<Branch> branches;
  AttendOptions options;
  DType dtype, out;
};

// The sequences of a batch as a device is asked about them.
struct Packed {
  std::vector<double> starts{0};
  std::vector<RowRun> runs;
  std::vector<std::int32_t> run_starts;
  std::vector<std::int64_t> source;  // of each row: its row in the other batch
  std::int64_t longest = 0;
};

// Shared: the own rows of each sequence only. Unshared: every sequence whole, rows copied from the shared batch.
std::pair<Packed, Packed> pack(const std::vector<Branch>& branches) {
  Packed shared, whole;
  RowChain chain;
  shared.run_starts.push_back(0);
  for (const auto& [inherited, own] : branches) {
    chain.next(inherited, static_cast<std::int64_t>(shared.starts.back()), own);
    shared.runs.insert(shared.runs.end(), chain.inherited().begin(), chain.inherited().end());
    shared.run_starts.push_back(static_cast<std::int32_t>(shared.runs.size()));
    shared.starts.push_back(shared.starts.back() + static_cast<double>(own));
    for (const RowRun& run : chain.rows())
      for (std::int64_t r = run.first; r < run.first + run.count; ++r) whole.source.push_back(r);
    for (std::int64_t r = 0; r < own; ++r)
      shared.source.push_back(static_cast<std::int64_t>(whole.source.size()) - own + r);
    whole.starts.push_back(static_cast<double>(whole.source.size()));
    shared.longest = whole.longest = std::max(whole.longest, inherited + own);
  }
  return {shared, whole};
}

class Attended {
 public:
  Attended(Device& device, const Case& c, const Packed& packed)
      : fused_(device, c.dtype, rows_of(packed), (c.options.query_heads + 2 * c.options.kv_heads) * c.options.head_size,
               3),
        out_(device, c.out, rows_of(packed), c.options.query_heads * c.options.head_size, 1),
        starts_(device, DType::i32, 1, static_cast<std::int64_t>(packed.starts.size())) {
    starts_.fill([&](auto, auto i) { return packed.starts[static_cast<std::size_t>(i)]; });
  }
  Grid& fused() { return fused_; }

  Grid& run(Device& device, const Case& c, const Packed& packed) {
    const std::int64_t q = c.options.query_heads * c.options.head_size, kv = c.options.kv_heads * c.options.head_size;
    device.reserve(rows_of(packed), rows_of(packed), 0);
    device.attend(fused_.view().columns_from(0, q), fused_.view().columns_from(q, kv),
                  fused_.view().columns_from(q + kv, kv),
                  {.starts = starts_.view(),
                   .count = static_cast<std::int64_t>(packed.starts.size()) - 1,
                   .longest = packed.longest,
                   .host_starts = {},
                   .runs = packed.runs,
                   .run_starts = packed.run_starts},
                  c.options, out_.view());
    return out_.read();
  }

 private:
  static std::int64_t rows_of(const Packed& packed) { return static_cast<std::int64_t>(packed.starts.back()); }
  Grid fused_, out_, starts_;
};

void check_case(Device& device, const Case& c) {
  const auto [shared, whole] = pack(c.branches);
  std::mt19937_64 generator(5);
  Attended few(device, c, shared), all(device, c, whole);
  few.fused().random(generator, 1.5);
  all.fused().fill(
      [&](auto r, auto column) { return few.fused().at(whole.source[static_cast<std::size_t>(r)], column); });
  const Grid &got = few.run(device, c, shared), &want = all.run(device, c, whole);
  for (std::int64_t r = 0; r < got.rows(); ++r)
    for (std::int64_t column = 0; column < got.columns(); ++column) {
      const double expected = want.at(shared.source[static_cast<std::size_t>(r)], column);
      if (got.at(r, column) == expected && std::signbit(got.at(r, column)) == std::signbit(expected)) continue;
      BOOST_ERROR("attend of " << tensor::name_of(c.dtype) << " with shared rows: row " << r << " of " << got.rows()
                               << ", column " << column << " is " << got.at(r, column) << ", alone " << expected);
      return;
    }
}

}  // namespace

void check_attend_of_shared(Device& device) {
  BOOST_TEST_REQUIRE(device.shares_prefixes());
  const std::vector<std::vector<Branch>> batches{
      {{0, 70}, {65, 1}, {65, 9}, {65, 0}, {66, 130}},               // ten choices
      {{0, 3}, {3, 4}, {7, 1}, {8, 120}, {5, 2}, {6, 64}},           // a chain of beginnings, and branches back
      {{0, 40}, {0, 130}, {64, 64}, {100, 29}, {128, 128}, {0, 5}},  // at the edges of blocks; two families
      {{0, 200}, {199, 1}, {131, 70}, {131, 3}, {17, 300}, {316, 2}},
      {{0, 1}, {1, 1}, {1, 1}, {2, 0}, {2, 63}, {33, 33}},
  };
  const std::pair<DType, DType> types[] = {
      {DType::f32, DType::f32}, {DType::bf16, DType::bf16}, {DType::f32, DType::bf16}};
  for (const auto& [dtype, out] : types)
    for (const auto& branches : batches) {
      const auto check = [&](const AttendOptions& options) { check_case(device, {branches, options, dtype, out}); };
      check({.query_heads = 4, .kv_heads = 2, .head_size = 64, .scale = 0.125f});
      check({.query_heads = 3, .kv_heads = 3, .head_size = 22, .scale = 0.2f});
      check({.query_heads = 10, .kv_heads = 1, .head_size = 128, .scale = 0.09f});
      check({.query_heads = 5, .kv_heads = 2, .head_size = 32, .scale = 0.2f, .group = 4, .skipped = 3});
      for (const std::int64_t window : {1, 5, 64, 100})
        check({.query_heads = 2, .kv_heads = 1, .head_size = 48, .scale = 0.15f, .window = window});
    }
}

}  // namespace thresher::device::contract
