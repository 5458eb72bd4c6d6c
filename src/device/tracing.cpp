#include "thresher/device/tracing.h"

#include <algorithm>

#include "thresher/base/check.h"
#include "thresher/device/row_runs.h"

namespace thresher::device {
namespace {

double bytes_of(const Tensor& x) {
  return static_cast<double>(x.elements() * tensor::size_of(x.dtype));
}

double flop_of(const Tensor& x, const Weight& weight) {
  return 2.0 * static_cast<double>(x.rows) * static_cast<double>(weight.inputs()) *
         static_cast<double>(weight.outputs());
}

}  // namespace

double attended_pairs(const std::vector<std::int64_t>& lengths, std::int64_t window) {
  double pairs = 0;
  for (const std::int64_t length : lengths) {
    const auto all = static_cast<double>(length),
               seen = static_cast<double>(window > 0 ? std::min(window, length) : length);
    pairs += seen * (seen + 1) / 2 + (all - seen) * seen;
  }
  return pairs;
}

template <class Body>
void TracingDevice::timed(const char* step, double flop, double bytes, const Body& body) {
  if (hook_) hook_();
  StepCost& cost = costs_[step];
  cost.step = step;
  inner_.time(cost.seconds, body);
  ++cost.calls;
  cost.flop += flop;
  cost.bytes += bytes;
}

void TracingDevice::dump(const char* step, const Tensor& output) const {
  if (!dump_ || !output) return;
  inner_.finish();
  dump_(step, costs_.at(step).calls - 1, output);
}

TracingDevice::~TracingDevice() {
  try {
    inner_.finish();
  } catch (const base::Error&) {
    // Whoever wants the results has asked for them.
  }
}

void TracingDevice::reset() {
  inner_.finish();
  costs_.clear();
}

std::vector<StepCost> TracingDevice::steps() const {
  inner_.finish();
  std::vector<StepCost> list;
  for (const auto& [name, cost] : costs_) list.push_back(cost);
  std::sort(list.begin(), list.end(), [](const StepCost& a, const StepCost& b) { return a.seconds > b.seconds; });
  return list;
}

void TracingDevice::upload(const Tensor& host, const Tensor& device) {
  timed("upload", 0, bytes_of(host), [&] { inner_.upload(host, device); });
}

void TracingDevice::download(const Tensor& device, const Tensor& host) {
  timed("download", 0, bytes_of(device), [&] { inner_.download(device, host); });
}

void TracingDevice::queue_upload(const Tensor& host, const Tensor& device) {
  timed("upload", 0, bytes_of(host), [&] { inner_.queue_upload(host, device); });
}

void TracingDevice::queue_download(const Tensor& device, const Tensor& host) {
  timed("download", 0, bytes_of(device), [&] { inner_.queue_download(device, host); });
}

std::unique_ptr<Weight> TracingDevice::pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                                            Residence residence) {
  std::unique_ptr<Weight> weight;
  timed("pack", 0, bytes_of(matrix), [&] { weight = inner_.pack(matrix, dtype, cuts, residence); });
  return weight;
}

void TracingDevice::embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) {
  timed("embed", 0, 2 * bytes_of(out), [&] { inner_.embed(ids, table, first_id, out); });
  dump("embed", out);
}

void TracingDevice::norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) {
  timed("norm", 0, static_cast<double>(out.elements() * tensor::size_of(x.dtype)) + bytes_of(out),
        [&] { inner_.norm(x, rows, gain, epsilon, out); });
  dump("norm", out);
}

void TracingDevice::matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate,
                           const Tensor& out) {
  const double flop = flop_of(x, weight);
  const double bytes = bytes_of(x) + static_cast<double>(weight.bytes()) + bytes_of(out) * (accumulate ? 2 : 1);
  timed("matmul", flop, bytes, [&] { inner_.matmul(x, weight, bias, accumulate, out); });
  dump("matmul", out);
}

void TracingDevice::add(const Tensor& x, const Tensor& bias, const Tensor& out) {
  timed("add", 0, bytes_of(x) + 2 * bytes_of(out), [&] { inner_.add(x, bias, out); });
  dump("add", out);
}

void TracingDevice::rope(const Tensor& x, const RopeOptions& options) {
  timed("rope", 0, 2 * bytes_of(x), [&] { inner_.rope(x, options); });
  dump("rope", x);
}

void TracingDevice::attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
                           const AttendOptions& options, const Tensor& out) {
  std::vector<std::int32_t> starts(sequences.host_starts.begin(), sequences.host_starts.end());
  if (starts.empty()) {
    starts.resize(static_cast<std::size_t>(sequences.count) + 1);
    inner_.download(sequences.starts, tensor::row_vector(starts.data(), DType::i32, sequences.count + 1));
  }
  std::vector<std::int64_t> lengths, inherited;
  for (std::size_t i = 1; i < starts.size(); ++i) {
    inherited.push_back(inherited_rows(sequences, static_cast<std::int64_t>(i) - 1));
    lengths.push_back(starts[i] - starts[i - 1] + inherited.back());
  }
  const double flop = 4.0 * static_cast<double>(q.columns) *
                      (attended_pairs(lengths, options.window) - attended_pairs(inherited, options.window));
  timed("attend", flop, bytes_of(q) + bytes_of(k) + bytes_of(v) + bytes_of(out),
        [&] { inner_.attend(q, k, v, sequences, options, out); });
  dump("attend", out);
}

void TracingDevice::gate(const Tensor& x, Activation activation, const Tensor& out) {
  timed("gate", 0, bytes_of(x) + bytes_of(out), [&] { inner_.gate(x, activation, out); });
  dump("gate", out);
}

// As two steps where a dump wants to see what is between them.
void TracingDevice::matmul_gate(const Tensor& x, const Weight& weight, const Tensor& bias, Activation activation,
                                const Tensor& wide, const Tensor& out) {
  const std::optional<double> before = inner_.gate_seconds();
  if (!before || dump_) return Device::matmul_gate(x, weight, bias, activation, wide, out);
  timed("matmul", flop_of(x, weight), bytes_of(x) + static_cast<double>(weight.bytes()),
        [&] { inner_.matmul_gate(x, weight, bias, activation, wide, out); });
  const double gate = *inner_.gate_seconds() - *before;
  costs_.at("matmul").seconds -= gate;
  StepCost& cost = costs_["gate"];
  cost.step = "gate";
  ++cost.calls;
  cost.seconds += gate;
  cost.bytes += bytes_of(out);
}

void TracingDevice::target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets,
                                  std::int64_t first_id, const Tensor& out) {
  timed("target_logits", 0, 2 * bytes_of(hidden), [&] { inner_.target_logits(hidden, head, targets, first_id, out); });
  dump("target_logits", out);
}

void TracingDevice::score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question,
                          const ScoreParts& parts) {
  const double flop = 2.0 * static_cast<double>(hidden.elements()) * static_cast<double>(head.outputs());
  timed("score", flop, bytes_of(hidden) + static_cast<double>(head.bytes()),
        [&] { inner_.score(hidden, head, question, parts); });
  for (const Tensor& output :
       {parts.reference, parts.sum, parts.weighted, parts.above, parts.found, parts.top_id, parts.top_logit})
    dump("score", output);
}

}  // namespace thresher::device
