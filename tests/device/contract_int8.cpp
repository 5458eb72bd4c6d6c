// Products in 8 bits, of devices that have them (in the host's memory): what is quantised, and sums that are exact.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "device/device_contract.h"
#include "device/plain.h"
#include "device/whole_score.h"

namespace thresher::device::contract {
namespace {

using Cuts = std::vector<std::int64_t>;
using tensor::QuantisedPiece;

constexpr std::uint8_t poison = 0xa5;

// Quantised rows with a margin on both sides.
class Quantised {
 public:
  Quantised(Device& device, std::int64_t rows, Cuts cuts, std::int64_t margin)
      : cuts_(std::move(cuts)), margin_(margin), stride_(cuts_.back() + 2 * margin) {
    const auto pieces = static_cast<std::int64_t>(cuts_.size()) - 1;
    numbers_ = device.allocate(rows * stride_);
    pieces_ = device.allocate(rows * pieces * 64);
    std::memset(numbers_.data(), poison, static_cast<std::size_t>(rows * stride_));
    std::memset(pieces_.data(), poison, static_cast<std::size_t>(rows * pieces * 64));
    view_ = tensor::matrix(numbers_.data(), DType::i8, rows, stride_).columns_from(margin, cuts_.back());
    view_.pieces = static_cast<QuantisedPiece*>(pieces_.data());
    view_.cuts = cuts_;
  }

  const Tensor& view() const { return view_; }
  std::int64_t piece_of(std::int64_t c) const {
    return std::upper_bound(cuts_.begin(), cuts_.end(), c) - cuts_.begin() - 1;
  }
  const QuantisedPiece& piece(std::int64_t r, std::int64_t p) const {
    return view_.pieces[r * (static_cast<std::int64_t>(cuts_.size()) - 1) + p];
  }
  int byte(std::int64_t r, std::int64_t c) const { return view_.row<std::uint8_t>(r)[c] - 128; }
  const QuantisedPiece::Outlier* outlier(std::int64_t r, std::int64_t c) const {
    const QuantisedPiece& one = piece(r, piece_of(c));
    for (int i = 0; i < one.outliers; ++i)
      if (one.outlier[i].column == c) return &one.outlier[i];
    return nullptr;
  }
  double value(std::int64_t r, std::int64_t c) const {
    if (const auto* outlier = this->outlier(r, c)) return outlier->value;
    return byte(r, c) * static_cast<double>(piece(r, piece_of(c)).scale);
  }
  bool same(const Quantised& other) const {
    for (std::int64_t r = 0; r < view_.rows; ++r) {
      if (std::memcmp(view_.row<std::uint8_t>(r), other.view_.row<std::uint8_t>(r),
                      static_cast<std::size_t>(view_.columns)) != 0)
        return false;
      for (std::size_t p = 0; p + 1 < cuts_.size(); ++p) {
        const QuantisedPiece &a = piece(r, static_cast<std::int64_t>(p)),
                             &b = other.piece(r, static_cast<std::int64_t>(p));
        if (std::memcmp(&a.scale, &b.scale, sizeof(a.scale)) != 0 || a.outliers != b.outliers ||
            std::memcmp(a.outlier, b.outlier, sizeof(a.outlier[0]) * static_cast<std::size_t>(a.outliers)) != 0)
          return false;
      }
    }
    return true;
  }
  bool margins_are_whole() const {
    for (std::int64_t r = 0; r < view_.rows; ++r)
      for (std::int64_t c = 0; c < stride_; ++c)
        if ((c < margin_ || c >= margin_ + view_.columns) &&
            static_cast<const std::uint8_t*>(numbers_.data())[r * stride_ + c] != poison)
          return false;
    return true;
  }
  const Cuts& cuts() const { return cuts_; }

 private:
  Cuts cuts_;
  std::int64_t margin_, stride_;
  Buffer numbers_, pieces_;
  Tensor view_;
};

// Every number to half a step of its piece, a step by the greatest number that is no outlier, and outliers only where
// numbers are far above the mean.
template <class Want>
void check_quantised(const Quantised& got, const Want& want, const char* what) {
  BOOST_TEST(got.margins_are_whole(), what);
  for (std::int64_t r = 0; r < got.view().rows; ++r)
    for (std::size_t p = 0; p + 1 < got.cuts().size(); ++p) {
      const QuantisedPiece& piece = got.piece(r, static_cast<std::int64_t>(p));
      double greatest = 0, mean = 0;
      for (std::int64_t c = got.cuts()[p]; c < got.cuts()[p + 1]; ++c) {
        const double expected = want(r, c), magnitude = std::abs(expected);
        mean += magnitude / static_cast<double>(got.cuts()[p + 1] - got.cuts()[p]);
        const bool out = got.outlier(r, c) != nullptr;
        if (!out) greatest = std::max(greatest, magnitude);
        const double allowed = out ? 1e-5 * magnitude : 0.501 * piece.scale + 1e-5 * magnitude;
        if (!(std::abs(got.value(r, c) - expected) <= allowed)) {
          BOOST_ERROR(what << ": row " << r << ", column " << c << " is " << got.value(r, c) << ", expected "
                           << expected << " to " << allowed);
          return;
        }
      }
      BOOST_REQUIRE(piece.outliers <= QuantisedPiece::most_outliers);
      for (int i = 0; i < piece.outliers; ++i) {
        BOOST_TEST(std::abs(piece.outlier[i].value) > 7.9 * mean);
        BOOST_TEST((i == 0 || piece.outlier[i - 1].column < piece.outlier[i].column));
      }
      BOOST_TEST(std::abs(piece.scale * 127 - greatest) <= 1e-5 * greatest, what << ": a step of " << piece.scale);
    }
}

std::vector<Cuts> all_cuts(std::int64_t width) {
  std::vector<Cuts> list{{0, width}};
  if (width >= 40) list.push_back({0, 5, width / 3, width / 3, width - 2, width, width, width, width});
  return list;
}

// A few numbers of every third row are a thousand times the others.
double with_outliers(std::int64_t r, std::int64_t c, double x) {
  return r % 3 == 1 && c % 97 == 5 ? 1000 * x : x;
}

void check_norm_and_gate(Device& device) {
  for (const std::int64_t width : {1, 7, 48, 300, 2048})
    for (const Cuts& cuts : all_cuts(width))
      for (const std::int64_t margin : {0, 5}) {
        Plain x(device, DType::f32, 19, width), gain(device, DType::f32, 1, width);
        x.random(1), gain.random(2);
        x.fill([&](auto r, auto c) { return with_outliers(r, c, static_cast<double>(x.row<float>(r)[c])); });
        Quantised normed(device, 19, cuts, margin);
        device.norm(x.view(), {}, gain.view(), 1e-5f, normed.view());
        const auto factor = [&](std::int64_t r) {
          double squares = 0;
          for (std::int64_t c = 0; c < width; ++c) squares += std::pow(static_cast<double>(x.row<float>(r)[c]), 2);
          return 1 / std::sqrt(squares / static_cast<double>(width) + 1e-5);
        };
        std::vector<double> factors;
        for (std::int64_t r = 0; r < 19; ++r) factors.push_back(factor(r));
        check_quantised(
            normed,
            [&](auto r, auto c) {
              return x.row<float>(r)[c] * factors[static_cast<std::size_t>(r)] *
                     static_cast<double>(gain.row<float>(0)[c]);
            },
            "norm");
        for (const DType dtype : {DType::f32, DType::bf16}) {
          Plain both(device, dtype, 19, 2 * width);
          both.random(3);
          const auto number = [&](std::int64_t r, std::int64_t c) {
            return static_cast<double>(dtype == DType::f32 ? both.row<float>(r)[c]
                                                           : base::from_bf16(both.row<std::uint16_t>(r)[c]));
          };
          Quantised gated(device, 19, cuts, margin);
          device.gate(both.view(), Activation::silu, gated.view());
          check_quantised(
              gated,
              [&](auto r, auto c) { return number(r, c) / (1 + std::exp(-number(r, c))) * number(r, c + width); },
              "gate");
        }
      }
}

// A weight as the contract says it is quantised.
struct Bytes {
  std::vector<int> bytes;
  std::vector<float> scales;  // output-major, by piece

  Bytes(const std::vector<float>& matrix, std::int64_t outputs, const Cuts& cuts)
      : bytes(matrix.size()), scales(static_cast<std::size_t>(outputs) * (cuts.size() - 1)) {
    for (std::int64_t n = 0; n < outputs; ++n)
      for (std::size_t p = 0; p + 1 < cuts.size(); ++p) {
        const float* row = matrix.data() + n * cuts.back();
        float greatest = 0;
        for (std::int64_t k = cuts[p]; k < cuts[p + 1]; ++k) greatest = std::max(greatest, std::abs(row[k]));
        scales[static_cast<std::size_t>(n) * (cuts.size() - 1) + p] = greatest / 127;
        for (std::int64_t k = cuts[p]; k < cuts[p + 1]; ++k)
          bytes[static_cast<std::size_t>(n * cuts.back() + k)] =
              static_cast<int>(std::lrint(row[k] * (127 / greatest)));
      }
  }
};

struct Case {
  std::int64_t rows, outputs;
  Cuts cuts;
  DType out;
  bool bias, accumulate, outliers;
};

// Against sums of whole numbers: to the bit where that is all, and to a few roundings otherwise.
void check_product(Device& device, const Case& c) {
  const std::int64_t inputs = c.cuts.back();
  std::vector<float> matrix = random_matrix(4, c.outputs * inputs, 0.3f);
  const Bytes w(matrix, c.outputs, c.cuts);
  Plain x(device, DType::f32, c.rows, inputs), gain(device, DType::f32, 1, inputs),
      bias(device, DType::f32, 1, c.outputs), out(device, c.out, c.rows, c.outputs),
      before(device, DType::f32, c.rows, c.outputs);
  x.random(5), bias.random(6), before.random(7);
  gain.fill([](auto, auto) { return 1; });
  if (c.outliers) x.fill([&](auto r, auto k) { return with_outliers(r, k, static_cast<double>(x.row<float>(r)[k])); });
  Quantised q(device, c.rows, c.cuts, 3);
  device.norm(x.view(), {}, gain.view(), 0, q.view());
  const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, c.outputs, inputs), DType::i8, c.cuts);
  BOOST_TEST((weight->dtype() == DType::i8));
  BOOST_TEST(weight->bytes() >= c.outputs * inputs);
  if (c.accumulate) device.upload(before.host(), out.view());
  device.matmul(q.view(), *weight, c.bias ? bias.view() : Tensor{}, c.accumulate, out.view());
  out.read();
  const std::size_t pieces = c.cuts.size() - 1;
  const bool exact = pieces == 1 && !c.bias && !c.accumulate && !c.outliers && c.out == DType::f32;
  for (std::int64_t r = 0; r < c.rows; ++r)
    for (std::int64_t n = 0; n < c.outputs; ++n) {
      const double bias_n = c.bias ? bias.row<float>(0)[n] : 0.0f,
                   before_n = c.accumulate ? before.row<float>(r)[n] : 0.0f;
      double total = bias_n + before_n, size = std::abs(bias_n) + std::abs(before_n);
      float alone = 0;
      for (std::size_t p = 0; p < pieces; ++p) {
        const float scale = q.piece(r, static_cast<std::int64_t>(p)).scale,
                    column = w.scales[static_cast<std::size_t>(n) * pieces + p];
        std::int64_t sum = 0;
        double rest = 0;
        for (std::int64_t k = c.cuts[p]; k < c.cuts[p + 1]; ++k) {
          const int byte = w.bytes[static_cast<std::size_t>(n * inputs + k)];
          sum += byte * q.byte(r, k);
          if (const auto* outlier = q.outlier(r, k)) rest += static_cast<double>(outlier->value) * byte;
        }
        alone = static_cast<float>(sum) * scale * column;
        const double product = (static_cast<double>(sum) * scale + rest) * column;
        total += product;
        size += std::abs(product) + std::abs(rest * column);
      }
      const double got = c.out == DType::f32 ? out.row<float>(r)[n] : base::from_bf16(out.row<std::uint16_t>(r)[n]);
      const double allowed = size * 1e-6 + (c.out == DType::bf16 ? std::abs(total) * 0x1.02p-8 : 0);
      if (exact ? got != static_cast<double>(alone) : !(std::abs(got - total) <= allowed)) {
        BOOST_ERROR(c.rows << " x " << inputs << " x " << c.outputs << ", " << pieces << " pieces: row " << r
                           << ", column " << n << " is " << got << ", expected " << (exact ? alone : total));
        return;
      }
    }
}

// Greatest bytes everywhere: no sum saturates.
void check_extremes(Device& device) {
  const std::int64_t inputs = 8192, outputs = 70;
  std::vector<float> matrix(static_cast<std::size_t>(outputs * inputs));
  for (std::size_t i = 0; i < matrix.size(); ++i) matrix[i] = i / 2 % 2 ? -1.0f : 1.0f;
  Plain x(device, DType::f32, 3, inputs), out(device, DType::f32, 3, outputs);
  x.fill([](auto r, auto k) { return r == 0 || k / 2 % 2 == 0 ? 1 : -1; });
  const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, outputs, inputs), DType::i8);
  device.matmul(x.view(), *weight, {}, false, out.view());
  out.read();
  for (std::int64_t n = 0; n < outputs; ++n) {
    BOOST_TEST(out.row<float>(0)[n] == 0);
    for (const std::int64_t r : {1, 2}) BOOST_TEST(std::abs(out.row<float>(r)[n] - static_cast<float>(inputs)) < 1e-2);
  }
}

// What comes in f32 is quantised as norm and gate do it, and a broken row spoils no other.
void check_routes(Device& device) {
  const Cuts cuts{0, 100, 130, 130, 300};
  std::vector<float> matrix = random_matrix(4, 90 * 300, 0.3f);
  const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, 90, 300), DType::i8, cuts);
  Plain x(device, DType::f32, 40, 300), gain(device, DType::f32, 1, 300), normed(device, DType::f32, 40, 300),
      there(device, DType::f32, 40, 90), broken(device, DType::f32, 40, 90);
  Plain both(device, DType::f32, 40, 600), gated(device, DType::f32, 40, 300), out(device, DType::f32, 40, 90);
  x.random(1), gain.random(2), both.random(3);
  x.fill([&](auto r, auto c) { return with_outliers(r, c, static_cast<double>(x.row<float>(r)[c])); });
  Quantised bytes(device, 40, cuts, 1);
  const auto same = [&](const char* what) { BOOST_TEST((out.read().bytes() == there.read().bytes()), what); };
  device.norm(x.view(), {}, gain.view(), 1e-5f, normed.view());
  device.matmul(normed.view(), *weight, {}, false, there.view());
  device.norm(x.view(), {}, gain.view(), 1e-5f, bytes.view());
  device.matmul(bytes.view(), *weight, {}, false, out.view());
  same("norm");
  device.matmul(bytes.view().rows_from(7, 20), *weight, {}, false, out.view().rows_from(7, 20));
  same("some rows");
  device.gate(both.view(), Activation::gelu, gated.view());
  device.matmul(gated.view(), *weight, {}, false, there.view());
  device.gate(both.view(), Activation::gelu, bytes.view());
  device.matmul(bytes.view(), *weight, {}, false, out.view());
  same("gate");
  for (const float bad : {std::nanf(""), INFINITY}) {
    gated.read().row<float>(5)[120] = bad;
    gated.write();
    device.matmul(gated.view(), *weight, {}, false, broken.view());
    broken.read();
    for (std::int64_t r = 0; r < 40; ++r)
      for (std::int64_t c = 0; c < 90; ++c)
        if (r == 5 ? !std::isnan(broken.row<float>(r)[c]) : broken.row<float>(r)[c] != there.row<float>(r)[c]) {
          BOOST_ERROR("row " << r << " is " << broken.row<float>(r)[c]);
          return;
        }
  }
}

// The product and its gate as one step: what is quantised has the same bytes, in pieces that a device may do so and in
// others.
void check_gated(Device& device) {
  for (const std::int64_t width : {40, 64, 192, 640, 1088})
    for (const std::int64_t inputs : {7, 300})
      for (const std::int64_t rows : {1, 13, 330})
        for (const bool with_bias : {false, true}) {
          std::vector<float> matrix = random_matrix(4, 2 * width * inputs, 0.3f);
          const auto weight = device.pack(tensor::matrix(matrix.data(), DType::f32, 2 * width, inputs), DType::i8);
          Plain x(device, DType::f32, rows, inputs), gain(device, DType::f32, 1, inputs),
              bias(device, DType::f32, 1, 2 * width), wide(device, DType::bf16, rows, 2 * width),
              unused(device, DType::bf16, rows, 2 * width);
          x.random(1), gain.random(2), bias.random(3);
          x.fill([&](auto r, auto c) { return with_outliers(r, c, static_cast<double>(x.row<float>(r)[c])); });
          Quantised normed(device, rows, {0, inputs}, 2);
          device.norm(x.view(), {}, gain.view(), 1e-5f, normed.view());
          const Tensor added = with_bias ? bias.view() : Tensor{};
          std::vector<Cuts> list = all_cuts(width);
          if (width >= 192) list.push_back({0, 64, 64, 128, width, width, width, width, width});
          for (const Cuts& cuts : list) {
            Quantised want(device, rows, cuts, 3), got(device, rows, cuts, 3);
            device.matmul(normed.view(), *weight, added, false, wide.view());
            device.gate(wide.view(), Activation::gelu_tanh, want.view());
            device.matmul_gate(normed.view(), *weight, added, Activation::gelu_tanh, unused.view(), got.view());
            BOOST_TEST(got.margins_are_whole());
            if (!got.same(want)) BOOST_ERROR(rows << " rows of " << width << " by " << inputs << " differ");
          }
        }
}

// The streamed head in 8 bits: the softmax of its product's own numbers, and targets' logits to the bit.
void check_head(Device& device, std::int64_t rows, std::int64_t vocabulary) {
  const std::int64_t width = 100, top = 5;
  std::vector<float> matrix = random_matrix(4, vocabulary * width, 0.3f);
  const auto head = device.pack(tensor::matrix(matrix.data(), DType::f32, vocabulary, width), DType::i8);
  Plain x(device, DType::f32, rows, width), gain(device, DType::f32, 1, width),
      all(device, DType::f32, rows, vocabulary), targets(device, DType::i32, 1, rows),
      alone(device, DType::f32, 1, rows), logprob(device, DType::f32, 1, rows), rank(device, DType::i32, 1, rows),
      entropy(device, DType::f32, 1, rows), ids(device, DType::i32, rows, top),
      likeliest(device, DType::f32, rows, top);
  x.random(5);
  x.fill([&](auto r, auto k) { return with_outliers(r, k, static_cast<double>(x.row<float>(r)[k])); });
  gain.fill([](auto, auto) { return 1; });
  targets.fill([&](auto, auto r) { return static_cast<double>(r * 7919 % vocabulary); });
  Quantised hidden(device, rows, {0, width}, 3);
  device.norm(x.view(), {}, gain.view(), 1e-5f, hidden.view());
  device.matmul(hidden.view(), *head, {}, false, all.view());
  all.read();
  device.reserve(rows, rows, top);
  device.target_logits(hidden.view(), *head, targets.view(), 0, alone.view());
  score_whole(device, hidden.view(), *head, targets.view(),
              {logprob.view(), rank.view(), entropy.view(), ids.view(), likeliest.view()});
  for (Plain* plain : {&alone, &logprob, &rank, &entropy, &ids, &likeliest}) plain->read();
  for (std::int64_t r = 0; r < rows; ++r) {
    const float* logits = all.row<float>(r);
    const std::int32_t target = targets.row<std::int32_t>(0)[r];
    BOOST_TEST(alone.row<float>(0)[r] == logits[target]);
    double sum = 0, weighted = 0, above = 0;
    const double highest = static_cast<double>(*std::max_element(logits, logits + vocabulary));
    for (std::int64_t v = 0; v < vocabulary; ++v) {
      sum += std::exp(static_cast<double>(logits[v]) - highest);
      above += logits[v] > logits[target] || (logits[v] == logits[target] && v < target);
    }
    const double normaliser = highest + std::log(sum);
    for (std::int64_t v = 0; v < vocabulary; ++v)
      weighted += std::exp(static_cast<double>(logits[v]) - normaliser) * static_cast<double>(logits[v]);
    BOOST_TEST(std::abs(static_cast<double>(logprob.row<float>(0)[r] - logits[target]) + normaliser) < 1e-5);
    BOOST_TEST(std::abs(static_cast<double>(entropy.row<float>(0)[r]) - (normaliser - weighted)) < 1e-5);
    BOOST_TEST(rank.row<std::int32_t>(0)[r] == above);
    BOOST_TEST(static_cast<double>(logits[ids.row<std::int32_t>(r)[0]]) == highest);
  }
}

}  // namespace

void check_int8(Device& device) {
  BOOST_REQUIRE(device.quantises());
  check_norm_and_gate(device);
  for (const std::int64_t rows : {1, 2, 7, 33, 200})
    for (const std::int64_t outputs : {1, 17, 64, 300})
      for (const Cuts& cuts : {Cuts{0, 3}, Cuts{0, 24}, Cuts{0, 288}, Cuts{0, 1023}}) {
        check_product(device, {rows, outputs, cuts, DType::f32, false, false, false});
        check_product(device, {rows, outputs, cuts, DType::bf16, true, false, false});
        check_product(device, {rows, outputs, cuts, DType::f32, true, true, true});
      }
  for (const bool outliers : {false, true}) {
    check_product(device, {33, 130, {0, 20, 41, 41, 300}, DType::f32, true, true, outliers});
    check_product(device, {70, 600, {0, 37, 150, 150, 300, 301, 555, 600, 601}, DType::bf16, false, false, outliers});
  }
  for (const std::int64_t vocabulary : {5, 64, 300, 4097})
    for (const std::int64_t rows : {1, 33, 130}) check_head(device, rows, vocabulary);
  check_gated(device);
  check_extremes(device);
  check_routes(device);
}

}  // namespace thresher::device::contract
