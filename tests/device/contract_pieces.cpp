// Parts of a product on several devices, emulated on one, have the bits of the whole.
#include <algorithm>

#include "device/device_contract.h"
#include "device/plain.h"

namespace thresher::device::contract {
namespace {

using Cuts = std::vector<std::int64_t>;

struct Case {
  std::int64_t rows, outputs;
  Cuts cuts;  // of the inputs, 8 pieces
  DType dtype, out;
  bool bias, accumulate;
};

std::vector<DType> types_of(const Device& device) {
  std::vector<DType> types{DType::f32, DType::bf16};
  if (device.quantises()) types.push_back(DType::i8);
  return types;
}

// Of rows that a weight of this dtype may be multiplied with.
DType rows_for(DType weight) {
  return weight == DType::i8 ? DType::f32 : weight;
}

Cuts even_cuts(std::int64_t inputs) {
  Cuts cuts;
  for (std::int64_t i = 0; i <= 8; ++i) cuts.push_back(inputs * i / 8);
  return cuts;
}

// One product by one device, or by several.
class Parts {
 public:
  Parts(Device& device, const Case& c)
      : device_(device),
        case_(c),
        matrix_(random_matrix(5, c.outputs * c.cuts.back(), 0.3f)),
        x_(device, rows_for(c.dtype), c.rows, c.cuts.back()),
        bias_(device, DType::f32, 1, c.outputs),
        before_(device, c.out, c.rows, c.outputs) {
    x_.random(6);
    bias_.random(7);
    before_.random(8);
  }

  // Pieces [first, last) alone: their bare sum.
  Plain sum(std::int64_t first, std::int64_t last) {
    const std::int64_t from = cut(first), inputs = cut(last) - from;
    Plain out(device_, DType::f32, case_.rows, case_.outputs);
    device_.matmul(x_.view().columns_from(from, inputs), *pack(first, last), {}, false, out.view());
    out.read();
    return out;
  }
  std::vector<std::uint8_t> whole() {
    Plain out(device_, case_.out, case_.rows, case_.outputs);
    if (case_.accumulate) device_.upload(before_.host(), out.view());
    device_.matmul(x_.view(), *pack(0, 8), case_.bias ? bias_.view() : Tensor{}, case_.accumulate, out.view());
    return out.read().bytes();
  }
  // By `ranks` devices that hold 8 / ranks pieces each, summed by neighbours, then added.
  std::vector<std::uint8_t> shared(std::int64_t ranks) {
    Plain total = tree(0, 8, 8 / ranks);
    if (!case_.accumulate) return total.bytes();
    Plain out(device_, case_.out, case_.rows, case_.outputs);
    device_.upload(before_.host(), out.view());
    device_.add(total.write().view(), case_.bias ? bias_.view() : Tensor{}, out.view());
    return out.read().bytes();
  }

 private:
  std::int64_t cut(std::int64_t index) const { return case_.cuts[static_cast<std::size_t>(index)]; }

  std::unique_ptr<Weight> pack(std::int64_t first, std::int64_t last) {
    Cuts cuts;
    for (std::int64_t i = first; i <= last; ++i) cuts.push_back(cut(i) - cut(first));
    const Tensor part = tensor::matrix(matrix_.data(), DType::f32, case_.outputs, case_.cuts.back())
                            .columns_from(cut(first), cuts.back());
    auto weight = device_.pack(part, case_.dtype, cuts);
    BOOST_TEST(weight->inputs() == cuts.back());
    BOOST_TEST(weight->outputs() == case_.outputs);
    return weight;
  }

  Plain tree(std::int64_t first, std::int64_t last, std::int64_t held) {
    if (last - first == held) return sum(first, last);
    Plain left = tree(first, (first + last) / 2, held), right = tree((first + last) / 2, last, held);
    left.fill([&](auto r, auto c) { return left.row<float>(r)[c] + right.row<float>(r)[c]; });
    return left;
  }

  Device& device_;
  const Case& case_;
  std::vector<float> matrix_;
  Plain x_, bias_, before_;
};

void check_case(Device& device, const Case& c) {
  Parts parts(device, c);
  const std::vector<std::uint8_t> one = parts.whole();
  for (const std::int64_t ranks : {1, 2, 4, 8})
    BOOST_TEST((parts.shared(ranks) == one), c.rows << " x " << c.cuts.back() << " x " << c.outputs << ", "
                                                    << tensor::name_of(c.dtype) << ", by " << ranks << " devices");
}

}  // namespace

void check_pieces(Device& device) {
  const Cuts sets[] = {even_cuts(172),
                       even_cuts(288),
                       even_cuts(5),
                       even_cuts(2200),
                       {0, 0, 40, 40, 41, 300, 300, 301, 303},
                       {0, 700, 702, 900, 901, 901, 901, 1700, 1723},
                       {0, 0, 0, 0, 0, 0, 0, 0, 33},
                       {0, 96, 192, 224, 256, 288, 384, 480, 520}};
  for (const DType dtype : types_of(device))
    for (const Cuts& cuts : sets)
      for (const std::int64_t outputs : {1, 64, 300})
        for (const std::int64_t rows : {1, 7, 130}) {
          check_case(device, {rows, outputs, cuts, dtype, DType::f32, false, false});
          if (rows == 7) check_case(device, {rows, outputs, cuts, dtype, DType::f32, false, true});
          if (rows == 130) check_case(device, {rows, outputs, cuts, dtype, DType::f32, true, true});
        }
  check_case(device, {600, 1300, even_cuts(1100), DType::bf16, DType::f32, true, true});
}

// Columns of one weight, or of several that hold some of them.
void check_columns(Device& device) {
  const std::vector<Cuts> splits{{0, 1, 17, 63, 300}, {0, 64, 128, 192, 256, 300}, {0, 0, 299, 300}, {0, 37, 150, 300}};
  for (const DType dtype : types_of(device))
    for (const std::int64_t inputs : {7, 172, 520, 2048})
      for (const std::int64_t rows : {1, 160})
        for (const bool pieces : {false, true}) {
          std::vector<float> matrix = random_matrix(3, 300 * inputs, 0.2f);
          const Tensor whole = tensor::matrix(matrix.data(), DType::f32, 300, inputs);
          const Cuts cuts = pieces ? even_cuts(inputs) : Cuts{};
          for (const DType type : {DType::f32, dtype == DType::f32 ? dtype : DType::bf16}) {
            Plain x(device, rows_for(dtype), rows, inputs), out(device, type, rows, 300);
            x.random(4);
            device.matmul(x.view(), *device.pack(whole, dtype, cuts), {}, false, out.view());
            out.read();
            for (const Cuts& split : splits)
              for (std::size_t i = 0; i + 1 < split.size(); ++i) {
                const std::int64_t first = split[i], count = split[i + 1] - first;
                Plain part(device, type, rows, count);
                device.matmul(x.view(), *device.pack(whole.rows_from(first, count), dtype, cuts), {}, false,
                              part.view());
                BOOST_TEST((part.read().bytes() == out.columns(first, count)), rows << " rows, " << inputs
                                                                                    << " inputs, columns from " << first
                                                                                    << ", " << tensor::name_of(dtype));
              }
          }
        }
}

void check_embed_of_part(Device& device) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    Plain table(device, dtype, 50, 33), ids(device, DType::i32, 1, 40), whole(device, DType::f32, 40, 33);
    table.random(1);
    ids.fill([](auto, auto c) { return c * 31 % 50; });
    device.embed(ids.view(), table.view(), 0, whole.view());
    whole.read();
    for (const Cuts& cuts : {Cuts{0, 20, 50}, Cuts{0, 1, 49, 49, 50}}) {
      std::vector<std::uint8_t> merged(whole.bytes().size(), 0);
      for (std::size_t i = 0; i + 1 < cuts.size(); ++i) {
        Plain part(device, DType::f32, 40, 33);
        device.embed(ids.view(), table.view().rows_from(cuts[i], cuts[i + 1] - cuts[i]), cuts[i], part.view());
        const std::vector<std::uint8_t> bytes = part.read().bytes();
        std::transform(merged.begin(), merged.end(), bytes.begin(), merged.begin(), std::bit_or<>());
      }
      BOOST_TEST((merged == whole.bytes()));
    }
  }
}

void check_attend_of_part(Device& device) {
  constexpr std::int64_t size = 24, tokens = 200, heads = 12;
  for (const DType dtype : {DType::f32, DType::bf16})
    for (const std::int64_t group : {1, 3, 4, 12}) {
      const std::int64_t kv_heads = heads / group;
      Plain q(device, dtype, tokens, heads * size), k(device, dtype, tokens, kv_heads * size),
          v(device, dtype, tokens, kv_heads * size), whole(device, dtype, tokens, heads * size),
          starts(device, DType::i32, 1, 4);
      q.random(1), k.random(2), v.random(3);
      const std::int64_t begins[] = {0, 3, 70, tokens};
      starts.fill([&](auto, auto c) { return begins[c]; });
      const Sequences sequences{starts.view(), 3, 130};
      device.attend(q.view(), k.view(), v.view(), sequences, {heads, kv_heads, size, 0.2f, 0}, whole.view());
      whole.read();
      for (std::int64_t first = 0; first < heads; ++first)
        for (std::int64_t last = first; last <= heads; ++last) {
          const std::int64_t low = first / group, high = last > first ? (last - 1) / group + 1 : low;
          Plain part(device, dtype, tokens, (last - first) * size);
          AttendOptions options{last - first, high - low, size, 0.2f, 0};
          options.group = group;
          options.skipped = first % group;
          device.attend(q.view().columns_from(first * size, (last - first) * size),
                        k.view().columns_from(low * size, (high - low) * size),
                        v.view().columns_from(low * size, (high - low) * size), sequences, options, part.view());
          BOOST_TEST((part.read().bytes() == whole.columns(first * size, (last - first) * size)),
                     "heads " << first << " to " << last << " of groups of " << group);
        }
    }
}

}  // namespace thresher::device::contract
