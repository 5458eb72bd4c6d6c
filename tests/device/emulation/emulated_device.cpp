#include "device/emulation/emulated_device.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "device/cuda/kernels/kernels.h"
#include "thresher/base/check.h"
#include "thresher/base/half.h"

namespace thresher::device::emulation {
namespace {

// Small and odd, so that few rows make several chunks.
constexpr std::int64_t chunk_rows = 48;
constexpr std::int64_t chunk_tiles = 3;
constexpr std::int64_t gathered_rows = 16;

float number(const Tensor& matrix, std::int64_t r, std::int64_t c) {
  return matrix.dtype == DType::bf16 ? base::from_bf16(matrix.row<const std::uint16_t>(r)[c])
                                     : matrix.row<const float>(r)[c];
}

class HostWeight final : public Weight {
 public:
  HostWeight(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts)
      : memory_(tensor::host_buffer(std::max<std::int64_t>(1, matrix.elements() * tensor::size_of(dtype)))),
        view_(tensor::matrix(memory_.data(), dtype, matrix.rows, matrix.columns)),
        cuts_(cuts.begin(), cuts.end()) {
    if (cuts_.empty()) cuts_ = {0, matrix.columns};
    for (std::int64_t r = 0; r < matrix.rows; ++r)
      for (std::int64_t c = 0; c < matrix.columns; ++c) {
        const float value =
            matrix.dtype == DType::f16 ? base::from_f16(matrix.row<const std::uint16_t>(r)[c]) : number(matrix, r, c);
        if (dtype == DType::bf16) {
          view_.row<std::uint16_t>(r)[c] = base::to_bf16(value);
        } else {
          view_.row<float>(r)[c] = value;
        }
      }
  }
  std::int64_t outputs() const override { return view_.rows; }
  std::int64_t inputs() const override { return view_.columns; }
  DType dtype() const override { return view_.dtype; }
  std::int64_t bytes() const override { return memory_.bytes(); }
  const Tensor& view() const { return view_; }
  const std::vector<std::int64_t>& cuts() const { return cuts_; }

 private:
  Buffer memory_;
  Tensor view_;
  std::vector<std::int64_t> cuts_;
};

// out = x w^T, each sum in the order of the columns.
void multiply(const Tensor& x, const Tensor& w, const Tensor& out) {
  const auto outputs = static_cast<std::size_t>(w.rows);
  std::vector<float> columns(outputs * static_cast<std::size_t>(w.columns));
  for (std::int64_t i = 0; i < w.columns; ++i)
    for (std::int64_t c = 0; c < w.rows; ++c)
      columns[static_cast<std::size_t>(i) * outputs + static_cast<std::size_t>(c)] = number(w, c, i);
  for (std::int64_t r = 0; r < x.rows; ++r) {
    float* sums = out.row<float>(r);
    std::fill_n(sums, w.rows, 0.0f);
    for (std::int64_t i = 0; i < x.columns; ++i) {
      const float value = number(x, r, i);
      const float* column = columns.data() + static_cast<std::size_t>(i) * outputs;
      for (std::int64_t c = 0; c < w.rows; ++c) sums[c] += value * column[c];
    }
  }
}

// A matrix of f32 whose rows start at multiples of 16 bytes.
struct Room {
  Room(std::int64_t rows, std::int64_t columns, DType dtype = DType::f32)
      : memory(tensor::host_buffer(std::max<std::int64_t>(1, rows * ((columns + 7) / 8 * 8) * tensor::size_of(dtype)))),
        view{memory.data(), dtype, rows, columns, (columns + 7) / 8 * 8} {
    std::memset(memory.data(), 0xff, static_cast<std::size_t>(memory.bytes()));
  }
  Buffer memory;
  Tensor view;
};

class EmulatedDevice final : public Device {
 public:
  std::string kind() const override { return "cuda"; }
  std::string isa() const override { return "emulation"; }
  int threads() const override { return 1; }
  Buffer allocate(std::int64_t bytes) override { return tensor::host_buffer(bytes); }
  void upload(const Tensor& host, const Tensor& device) override { copy(host, device); }
  void download(const Tensor& device, const Tensor& host) override { copy(device, host); }
  void finish() override {}
  void reserve(std::int64_t, std::int64_t, std::int64_t) override {}
  std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                               Residence) override {
    return std::make_unique<HostWeight>(matrix, dtype, cuts);
  }
  void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) override {
    cuda::embed(ids, table, first_id, out, nullptr);
  }
  void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) override {
    cuda::norm(x, rows, gain, epsilon, out, nullptr);
  }
  void matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) override;
  void add(const Tensor& x, const Tensor& bias, const Tensor& out) override { cuda::add(x, bias, out, nullptr); }
  void rope(const Tensor& x, const RopeOptions& options) override { cuda::rope(x, options, nullptr); }
  void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
              const AttendOptions& options, const Tensor& out) override {
    cuda::attend(q, k, v, sequences, options, out, nullptr);
  }
  void gate(const Tensor& x, Activation activation, const Tensor& out) override {
    cuda::gate(x, activation, out, nullptr);
  }
  void target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                     const Tensor& out) override;
  void score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question, const ScoreParts& parts) override;
  ScoreTime score_time() const override { return {}; }
  double measure_peak(DType, double) override {
    base::fail(base::Exit::unavailable, "an emulated device has no peak to measure");
  }

 private:
  static void copy(const Tensor& from, const Tensor& to) {
    if (from.columns == 0) return;
    for (std::int64_t r = 0; r < from.rows; ++r)
      std::memcpy(to.row<char>(0) + r * to.stride * tensor::size_of(to.dtype),
                  from.row<char>(0) + r * from.stride * tensor::size_of(from.dtype),
                  static_cast<std::size_t>(from.columns * tensor::size_of(from.dtype)));
  }
  void score_rows(const Tensor& hidden, const Tensor& head, const ScoreQuestion& question, const ScoreParts& parts,
                  std::int64_t first);
};

void EmulatedDevice::matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate,
                            const Tensor& out) {
  const auto& w = static_cast<const HostWeight&>(weight);
  const int pieces = static_cast<int>(w.cuts().size()) - 1;
  if (out.rows == 0 || out.columns == 0) return;
  const Room partials(pieces * out.rows, out.columns);
  for (int p = 0; p < pieces; ++p) {
    const std::int64_t first = w.cuts()[static_cast<std::size_t>(p)],
                       count = w.cuts()[static_cast<std::size_t>(p) + 1] - first;
    multiply(x.columns_from(first, count), w.view().columns_from(first, count),
             partials.view.rows_from(p * out.rows, out.rows));
  }
  cuda::finish({partials.view.rows_from(0, out.rows), out.rows * partials.view.stride, pieces}, bias, accumulate, out,
               nullptr);
}

void EmulatedDevice::target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets,
                                   std::int64_t first_id, const Tensor& out) {
  const Tensor& rows = static_cast<const HostWeight&>(head).view();
  for (std::int64_t first = 0; first < hidden.rows; first += gathered_rows) {
    const std::int64_t count = std::min(gathered_rows, hidden.rows - first);
    const Room gathered(count, rows.columns, rows.dtype), products(count, count);
    const Tensor ids = targets.columns_from(first, count);
    cuda::gather(ids, rows, first_id, gathered.view, nullptr);
    multiply(hidden.rows_from(first, count), gathered.view, products.view);
    cuda::diagonal(products.view, ids, {first_id, rows.rows}, out.columns_from(first, count), nullptr);
  }
}

void EmulatedDevice::score_rows(const Tensor& hidden, const Tensor& head, const ScoreQuestion& question,
                                const ScoreParts& parts, std::int64_t first) {
  const std::int64_t rows = hidden.rows, tiles = (head.rows + vocabulary_tile - 1) / vocabulary_tile;
  const auto part = [&](const Tensor& view) { return view ? view.columns_from(first, rows) : Tensor{}; };
  const auto best = [&](const Tensor& view) { return view ? view.rows_from(first, rows) : Tensor{}; };
  std::vector<cuda::TilePart> tile_parts(static_cast<std::size_t>(tiles * rows));
  // A head without rows has a chunk without columns.
  for (std::int64_t tile = 0; tile < std::max<std::int64_t>(1, tiles); tile += chunk_tiles) {
    const std::int64_t column = tile * vocabulary_tile,
                       count = std::min(chunk_tiles * vocabulary_tile, head.rows - column);
    const Room logits(rows, count);
    multiply(hidden, head.rows_from(column, count), logits.view);
    const cuda::ScoreChunk chunk{.logits = logits.view,
                                 .first_tile = tile,
                                 .first_id = question.first_id,
                                 .targets = part(question.targets),
                                 .target_logits = part(question.target_logits),
                                 .weighted = static_cast<bool>(parts.weighted)};
    cuda::score_tiles(chunk, tile_parts.data(), part(parts.found), nullptr);
    if (parts.top_id) cuda::score_best(chunk, tile_parts.data(), best(parts.top_id), best(parts.top_logit), nullptr);
  }
  cuda::score_merge({.parts = tile_parts.data(),
                     .tiles = tiles,
                     .cuts = question.cuts,
                     .reference = part(parts.reference),
                     .sum = part(parts.sum),
                     .weighted = part(parts.weighted),
                     .above = question.target_logits ? part(parts.above) : Tensor{}},
                    nullptr);
}

void EmulatedDevice::score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question,
                           const ScoreParts& parts) {
  const Tensor& rows = static_cast<const HostWeight&>(head).view();
  std::fill_n(parts.found.as<float>(), hidden.rows, 0.0f);
  for (std::int64_t first = 0; first < hidden.rows; first += chunk_rows)
    score_rows(hidden.rows_from(first, std::min(chunk_rows, hidden.rows - first)), rows, question, parts, first);
}

}  // namespace

std::unique_ptr<Device> make_emulated_device() {
  return std::make_unique<EmulatedDevice>();
}

}  // namespace thresher::device::emulation
