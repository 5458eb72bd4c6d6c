#include "device/cpu/cpu_device.h"

#include <omp.h>

#include <chrono>
#include <cstring>

#include "device/cpu/crew.h"
#include "device/cpu/isa.h"
#include "device/operands.h"
#include "thresher/base/check.h"
#include "thresher/device/row_runs.h"

namespace thresher::device::cpu {
namespace {

void copy_rows(const Tensor& from, const Tensor& to) {
  const auto bytes = static_cast<std::size_t>(from.columns * tensor::size_of(from.dtype));
  if (from.stride == from.columns && to.stride == to.columns) {
    if (from.rows * from.columns > 0) std::memcpy(to.data, from.data, bytes * static_cast<std::size_t>(from.rows));
    return;
  }
  for (std::int64_t r = 0; r < from.rows; ++r) std::memcpy(to.rows_from(r, 1).data, from.rows_from(r, 1).data, bytes);
}

Gate gate_of(Activation activation) {
  switch (activation) {
    case Activation::silu:
      return Gate::silu;
    case Activation::gelu:
      return Gate::gelu;
    case Activation::gelu_tanh:
      return Gate::gelu_tanh;
  }
  base::fail(base::Exit::internal, "unknown activation");
}

void expect_one_piece(const Tensor& hidden, const Int8Weight& head) {
  expect(quantised_rows(hidden).count == 1 && head.pieces().size() == 1, "the pieces of an int8 head");
}

}  // namespace

CpuDevice::CpuDevice(const DeviceOptions& options, Isa isa)
    : crew_(options.threads, options.cores),
      kernels_(kernels_for(isa)),
      products_(kernels_, crew_),
      whole_products_(kernels_, products_, crew_),
      cut_products_(kernels_, products_, crew_),
      int8_products_(kernels_, crew_),
      gated_products_(kernels_, products_, crew_),
      score_(kernels_, products_, crew_) {}

std::string CpuDevice::isa() const {
  return name_of(kernels_.isa);
}

void CpuDevice::claim_threads() const {
  omp_set_num_threads(1);
}

void CpuDevice::grow(Buffer& buffer, std::int64_t bytes_per_thread) const {
  if (buffer.bytes() < bytes_per_thread * crew_.threads())
    buffer = tensor::host_buffer(bytes_per_thread * crew_.threads());
}

Buffer CpuDevice::allocate(std::int64_t bytes) {
  return tensor::host_buffer(bytes);
}

void CpuDevice::upload(const Tensor& host, const Tensor& device) {
  expect_copy(host, device);
  copy_rows(host, device);
}

void CpuDevice::download(const Tensor& device, const Tensor& host) {
  upload(device, host);
}

void CpuDevice::reserve(std::int64_t rows, std::int64_t, std::int64_t) {
  tasks_.reserve(static_cast<std::size_t>(rows));
}

std::unique_ptr<Weight> CpuDevice::pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                                        Residence) {
  claim_threads();
  if (dtype == DType::i8) return std::make_unique<Int8Weight>(matrix, cuts, crew_);
  if (!cuts.empty() || matrix.rows == 0 || matrix.columns == 0) return cut_products_.pack(matrix, dtype, cuts);
  return products_.pack(matrix, dtype, vocabulary_tile);
}

void CpuDevice::embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) {
  expect(table.columns == out.columns && ids.columns == out.rows, "embed");
  claim_threads();
  const auto* id = ids.as<const std::int32_t>();
  for (std::int64_t r = 0; r < out.rows; ++r) expect(id[r] >= 0, "embed of a negative id");
  parallel_rows(crew_, out.rows, static_cast<double>(out.columns) / 8, [&](std::int64_t first, std::int64_t last) {
    kernels_.embed({.ids = id, .table = rows_of(table), .first_id = first_id, .count = table.rows, .out = rows_of(out)},
                   first, last);
  });
}

void CpuDevice::norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) {
  expect(x.dtype == DType::f32 && gain.dtype == DType::f32 && gain.columns == out.columns && x.columns == out.columns,
         "norm");
  claim_threads();
  if (out.dtype == DType::i8) {
    const QuantisedRows to = quantised_rows(out);
    return parallel_rows(crew_, out.rows, static_cast<double>(out.columns) / 6, [&](auto first, auto last) {
      kernels_.norm_quantised(rows_of(x), rows.as<const std::int32_t>(), gain.as<const float>(), epsilon, to, first,
                              last);
    });
  }
  parallel_rows(crew_, out.rows, static_cast<double>(out.columns) / 8, [&](std::int64_t first, std::int64_t last) {
    kernels_.norm(rows_of(x), rows.as<const std::int32_t>(), gain.as<const float>(), epsilon, rows_of(out), first,
                  last);
  });
}

void CpuDevice::matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) {
  expect_matmul(x, weight, accumulate, out);
  if (out.elements() == 0) return;
  claim_threads();
  if (weight.dtype() == DType::i8)
    return int8_products_.run(x, static_cast<const Int8Weight&>(weight),
                              {.bias = bias, .accumulate = accumulate, .out = out});
  if (const auto* cut = dynamic_cast<const CutWeight*>(&weight))
    return cut_products_.run(x, *cut, {.bias = bias, .accumulate = accumulate, .out = out});
  whole_products_.run(x, static_cast<const PackedWeight&>(weight),
                      {.bias = bias, .accumulate = accumulate, .out = out});
}

void CpuDevice::add(const Tensor& x, const Tensor& bias, const Tensor& out) {
  expect_add(x, bias, out);
  claim_threads();
  parallel_rows(crew_, out.rows, static_cast<double>(out.columns) / 4, [&](std::int64_t first, std::int64_t last) {
    kernels_.finish({rows_of(x)}, bias.as<const float>(), true, rows_of(out), first, last);
  });
}

void CpuDevice::rope(const Tensor& x, const RopeOptions& options) {
  expect(options.head_size > 0 && options.head_size <= attend_head_size && options.head_size % 2 == 0 &&
             x.columns % options.head_size == 0 && options.rows.columns == x.rows,
         "rope");
  claim_threads();
  const RopeArgs args{.x = rows_of(x),
                      .rows = options.rows.as<const std::int32_t>(),
                      .cos = options.cos.as<const float>(),
                      .sin = options.sin.as<const float>(),
                      .cos_stride = options.cos.stride,
                      .sin_stride = options.sin.stride,
                      .head_size = options.head_size,
                      .gain = options.gain.as<const float>(),
                      .epsilon = options.epsilon};
  parallel_rows(crew_, x.rows, static_cast<double>(x.columns) / 8,
                [&](std::int64_t first, std::int64_t last) { kernels_.rope(args, first, last); });
}

// The heads of a task read one kv head and fit its scratch space together, with some rows.
std::int64_t CpuDevice::find_lanes(const AttendOptions& options, std::int64_t rows) {
  constexpr std::int64_t least_rows = 128;
  const std::int64_t group =
      options.group > 0 ? options.group : options.query_heads / std::max<std::int64_t>(1, options.kv_heads);
  const std::int64_t fitting = attend_sums / ((options.head_size + 15) / 16 * 16), together = fitting / least_rows;
  std::int64_t most = 1;
  lanes_.clear();
  for (std::int64_t head = 0; head < options.query_heads;) {
    const std::int64_t kv_head = (head + options.skipped) / group, behind = (kv_head + 1) * group - options.skipped;
    const std::int64_t heads = std::min({together, behind - head, options.query_heads - head});
    expect(kv_head < options.kv_heads, "attend's query heads outnumber the groups of its kv heads");
    lanes_.push_back({.head = head, .heads = heads, .kv_head = kv_head});
    most = std::max(most, heads);
    head += heads;
  }
  std::int64_t height = fitting / most;
  const auto tasks = [&] { return (rows + height - 1) / height * static_cast<std::int64_t>(lanes_.size()); };
  while (height > least_rows && tasks() < 4 * threads()) height = std::max(least_rows, height / 2);
  return height;
}

std::int64_t CpuDevice::find_tasks(const Sequences& sequences, std::int64_t rows, std::int64_t height) {
  const auto* starts = sequences.starts.as<const std::int32_t>();
  tasks_.clear();
  key_runs_.clear();
  // The tasks point to them.
  key_runs_.reserve(sequences.runs.size() + static_cast<std::size_t>(sequences.count));
  std::int64_t pairs = 0;
  for (std::int64_t s = 0; s < sequences.count; ++s) {
    const std::int64_t own = starts[s + 1] - starts[s];
    expect(starts[s] >= 0 && own >= 0 && starts[s] + own <= rows, "attend's sequences");
    std::int64_t inherited = 0;
    const std::size_t first_run = key_runs_.size();
    for (const RowRun& run : runs_of(sequences, s)) {
      expect(run.first >= 0 && run.count > 0 && run.first + run.count <= starts[s], "attend's runs");
      key_runs_.push_back({.begin = inherited, .end = inherited + run.count, .first = run.first});
      inherited += run.count;
    }
    const std::int64_t length = inherited + own;
    if (inherited > 0) key_runs_.push_back({.begin = inherited, .end = length, .first = starts[s]});
    // The last rows of a sequence see the most keys: begun first, they are not waited for.
    for (std::int64_t at = (own - 1) / height * height; at >= 0 && own > 0; at -= height)
      tasks_.push_back({.first = starts[s] - inherited,
                        .query = inherited + at,
                        .queries = std::min(height, own - at),
                        .head = 0,
                        .heads = 0,
                        .kv_head = 0,
                        .runs = inherited > 0 ? key_runs_.data() + first_run : nullptr});
    pairs += length * (length + 1) / 2 - inherited * (inherited + 1) / 2;
  }
  return pairs;
}

void CpuDevice::attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
                       const AttendOptions& options, const Tensor& out) {
  const std::int64_t size = options.head_size;
  expect(size > 0 && size <= attend_head_size && size % 2 == 0, "attend takes even head sizes up to 256");
  expect(options.group > 0
             ? options.skipped >= 0 && options.skipped < options.group
             : options.skipped == 0 && options.kv_heads > 0 && options.query_heads % options.kv_heads == 0,
         "attend's groups");
  expect(q.columns == options.query_heads * size && k.columns == options.kv_heads * size && v.columns == k.columns &&
             out.columns == q.columns,
         "attend's heads");
  expect(q.dtype == k.dtype && q.dtype == v.dtype && (q.dtype == DType::f32 || q.dtype == out.dtype), "attend's types");
  claim_threads();
  const std::int64_t height = find_lanes(options, q.rows);
  const AttendArgs args{.q = rows_of(q),
                        .k = rows_of(k),
                        .v = rows_of(v),
                        .out = rows_of(out),
                        .head_size = size,
                        .window = options.window,
                        .scale = options.scale};
  const std::int64_t work = find_tasks(sequences, q.rows, height);
  const auto lanes = static_cast<std::int64_t>(lanes_.size()), blocks = static_cast<std::int64_t>(tasks_.size());
  if (blocks * lanes == 0) return;
  const double ns = static_cast<double>(work * options.query_heads * size) / 75 / static_cast<double>(blocks * lanes);
  parallel_tasks(crew_, blocks * lanes, ns, [&](std::int64_t index, int thread) {
    AttendTask task = tasks_[static_cast<std::size_t>(index / lanes)];
    const Lane& lane = lanes_[static_cast<std::size_t>(index % lanes)];
    task.head = lane.head;
    task.heads = lane.heads;
    task.kv_head = lane.kv_head;
    kernels_.attend(args, task, products_.scratch(thread));
  });
}

// Row by row, so that what is quantised stays in the first cache.
void CpuDevice::gate_quantised(const Tensor& x, Gate activation, const Tensor& out) {
  const std::int64_t width = out.columns, padded = (width + 15) / 16 * 16;
  grow(gated_, padded * 4);
  const auto one_row = [&](std::int64_t r, float* space) {
    const Tensor from = x.rows_from(r, 1), gated = tensor::row_vector(space, DType::f32, width);
    kernels_.gate(rows_of(from.columns_from(0, width)), rows_of(from.columns_from(width, width)), activation,
                  rows_of(gated), 0, 1);
    const QuantisedRows to = quantised_rows(out.rows_from(r, 1));
    kernels_.quantise(rows_of(gated), to, 0, to.count, 0, 1);
  };
  const std::int64_t blocks = std::min<std::int64_t>(out.rows, 8 * threads());
  const double ns = static_cast<double>(out.rows * width) / 3 / static_cast<double>(blocks);
  parallel_tasks(crew_, blocks, ns, [&](std::int64_t block, int thread) {
    float* const space = static_cast<float*>(gated_.data()) + thread * padded;
    for (std::int64_t r = out.rows * block / blocks; r < out.rows * (block + 1) / blocks; ++r) one_row(r, space);
  });
}

void CpuDevice::gate(const Tensor& x, Activation activation, const Tensor& out) {
  expect(x.columns == 2 * out.columns && x.rows == out.rows, "gate");
  claim_threads();
  if (out.dtype == DType::i8) return gate_quantised(x, gate_of(activation), out);
  const Tensor from = x.columns_from(0, out.columns), up = x.columns_from(out.columns, out.columns);
  parallel_rows(crew_, out.rows, static_cast<double>(out.columns) / 4, [&](std::int64_t first, std::int64_t last) {
    kernels_.gate(rows_of(from), rows_of(up), gate_of(activation), rows_of(out), first, last);
  });
}

void CpuDevice::matmul_gate(const Tensor& x, const Weight& weight, const Tensor& bias, Activation activation,
                            const Tensor& wide, const Tensor& out) {
  expect_matmul(x, weight, false, wide);
  expect(wide.columns == 2 * out.columns && wide.rows == out.rows, "matmul_gate");
  claim_threads();
  if (gated_products_.run(x, weight, {.bias = bias, .gate = gate_of(activation), .between = wide.dtype, .out = out}))
    return;
  matmul(x, weight, bias, false, wide);
  time(gate_seconds_, [&] { gate(wide, activation, out); });
}

// Hidden rows as the head's products read them; the head itself.
Tensor CpuDevice::dense_hidden(const Tensor& hidden, const PackedWeight& head) {
  const DType held = products_.held(head.dtype());
  if (hidden.stride == hidden.columns && hidden.dtype == held) return hidden;
  const std::int64_t bytes = hidden.elements() * tensor::size_of(held);
  if (dense_hidden_.bytes() < bytes) dense_hidden_ = tensor::host_buffer(bytes);
  const Tensor dense = tensor::matrix(dense_hidden_.data(), held, hidden.rows, hidden.columns);
  kernels_.convert(rows_of(hidden), rows_of(dense), 0, hidden.rows);
  return dense;
}

void CpuDevice::target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                              const Tensor& out) {
  expect_target_logits(hidden, head, targets, out);
  claim_threads();
  std::fill_n(out.as<float>(), out.columns, 0.0f);
  if (hidden.rows == 0 || head.outputs() == 0) return;
  if (const auto* const quantised = dynamic_cast<const Int8Weight*>(&head)) {
    expect_one_piece(hidden, *quantised);
    return score_.target_logits(hidden, *quantised, targets.as<const std::int32_t>(), first_id, out.as<float>());
  }
  const auto& packed = dynamic_cast<const PackedWeight&>(head);
  score_.target_logits(dense_hidden(hidden, packed), packed, targets.as<const std::int32_t>(), first_id,
                       out.as<float>());
}

void CpuDevice::score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question,
                      const ScoreParts& parts) {
  expect_score(hidden, head, question, parts);
  claim_threads();
  if (hidden.rows == 0) return;
  if (head.outputs() == 0) return Score::nothing(question, parts);
  if (const auto* const quantised = dynamic_cast<const Int8Weight*>(&head)) {
    expect_one_piece(hidden, *quantised);
    return score_.run(hidden, head, question, parts, score_time_);
  }
  const auto& packed = dynamic_cast<const PackedWeight&>(head);
  score_.run(dense_hidden(hidden, packed), packed, question, parts, score_time_);
}

double CpuDevice::measure_peak(DType dtype, double seconds) {
  claim_threads();
  const auto burn = dtype == DType::i8     ? kernels_.burn_int8
                    : dtype == DType::bf16 ? kernels_.burn_bf16
                                           : kernels_.burn_f32;
  const auto seconds_now = [] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
  };
  double best = 0;
  const double end = seconds_now() + seconds;
  std::vector<double> work(static_cast<std::size_t>(crew_.threads()));
  do {
    const double start = seconds_now();
    crew_.run(crew_.threads(), [&](std::int64_t task, int) { work[static_cast<std::size_t>(task)] = burn(400000); });
    const double taken = seconds_now() - start;
    double flop = 0;
    for (const double one : work) flop += one;
    best = std::max(best, flop / taken);
  } while (seconds_now() < end);
  return best;
}

}  // namespace thresher::device::cpu

namespace thresher::device {

std::unique_ptr<Device> make_cpu_device(const DeviceOptions& options) {
  return std::make_unique<cpu::CpuDevice>(options, cpu::best_isa());
}

}  // namespace thresher::device
