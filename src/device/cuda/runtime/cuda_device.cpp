#include "device/cuda/runtime/cuda_device.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "device/cuda/kernels/kernels.h"
#include "device/cuda/runtime/lane.h"
#include "device/operands.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

constexpr std::size_t remembered_steps = 24;

std::string isa_of(const Gpu& gpu) {
  const std::size_t version = blas_version();
  return fmt::format("sm_{}{} of {} processors, cuBLASLt {}.{}.{}", gpu.major, gpu.minor, gpu.processors,
                     version / 10000, version / 100 % 100, version % 100);
}

// What the environment says about attention.
AttentionBy attention_by() {
  const char* given = std::getenv("THRESHER_ATTENTION");
  const auto by = read_attention_by(given && *given ? given : "measured");
  if (!by)
    base::fail(base::Exit::config,
               fmt::format("THRESHER_ATTENTION={} in the environment; it may be measured, own or cudnn", given),
               std::source_location());
  return *by;
}

cudaStream_t stream_on(int gpu) {
  check(cudaSetDevice(gpu), "choosing the GPU");
  return make_stream().release();
}

}  // namespace

CudaDevice::CudaDevice(const CudaOptions& options, const Gpu& gpu)
    : gpu_(gpu),
      index_(options.gpu),
      threads_(options.threads),
      isa_(isa_of(gpu)),
      one_by_one_(std::getenv("THRESHER_CUDA_WAIT") != nullptr),
      stream_(stream_on(options.gpu)),
      copies_(stream_.raw()),
      usage_(stream_.raw()),
      algorithms_(isa_),
      products_(options.gpu, stream_.raw(), algorithms_),
      attention_(options.gpu, stream_.raw(), algorithms_, attention_by(),
                 [gpu_index = options.gpu, stream = stream_.raw()](std::string& trouble) {
                   return make_packed_attention(gpu_index, stream, trouble);
                 }),
      matmul_(options.gpu, stream_.raw(), products_),
      score_(options.gpu, stream_.raw(), products_, timeline_),
      slots_(options.gpu, stream_.raw(), timeline_) {
  algorithms_.merge(options.algorithms);
  if (options.tune) on_unknown(Unknown::tune);
}

CudaDevice::~CudaDevice() {
  static_cast<void>(cudaSetDevice(index_));
  static_cast<void>(cudaStreamSynchronize(stream_.raw()));
}

Range CudaDevice::step(const char* name) {
  check(cudaSetDevice(index_), "choosing the GPU");
  if (one_by_one_ && !running_.empty()) wait(running_.back());
  if (running_.size() < remembered_steps && (running_.empty() || running_.back() != name)) running_.push_back(name);
  usage_.work();
  return Range(name);
}

void CudaDevice::wait(const char* doing) {
  check(cudaSetDevice(index_), "choosing the GPU");
  usage_.rest();
  expect_success(cudaStreamSynchronize(stream_.raw()), doing);
  waited_for_ += static_cast<std::int64_t>(running_.size());
  running_.clear();
  timeline_.collect();
  usage_.collect();
}

void CudaDevice::expect_success(cudaError_t code, const char* doing) const {
  if (code == cudaSuccess) code = cudaGetLastError();
  if (code != cudaSuccess)
    base::fail(base::Exit::os,
               fmt::format("{} failed at {} after these steps: {}: {} ({}, code {}); THRESHER_CUDA_WAIT=1 in the "
                           "environment finds the step",
                           gpu_.name, doing, fmt::join(running_, ", "), cudaGetErrorString(code),
                           cudaGetErrorName(code), static_cast<int>(code)));
}

class CudaDevice::QueueMark final : public Mark {
 public:
  explicit QueueMark(CudaDevice& device) : device_(device), event_(make_event(false)) {}

  void set() override {
    check(cudaSetDevice(device_.index_), "choosing the GPU");
    device_.usage_.rest();
    check(cudaEventRecord(event_.raw(), device_.stream_.raw()), "marking a place");
    steps_ = device_.waited_for_ + static_cast<std::int64_t>(device_.running_.size());
  }
  bool passed() override {
    check(cudaSetDevice(device_.index_), "choosing the GPU");
    if (!reached(event_.raw(), "a batch's end")) return false;
    settle(cudaSuccess);
    return true;
  }
  void wait() override {
    check(cudaSetDevice(device_.index_), "choosing the GPU");
    settle(cudaEventSynchronize(event_.raw()));
  }

 private:
  void settle(cudaError_t code) {
    device_.expect_success(code, "a batch's end");
    if (const std::int64_t done = steps_ - device_.waited_for_; done > 0) {
      device_.running_.erase(device_.running_.begin(), device_.running_.begin() + done);
      device_.waited_for_ = steps_;
    }
    device_.timeline_.collect();
    device_.usage_.collect();
  }

  CudaDevice& device_;
  EventHandle event_;
  std::int64_t steps_ = 0;  // of the device's, that stand before the mark
};

std::unique_ptr<Mark> CudaDevice::make_mark() {
  check(cudaSetDevice(index_), "choosing the GPU");
  return std::make_unique<QueueMark>(*this);
}

void* CudaDevice::queue() {
  check(cudaSetDevice(index_), "choosing the GPU");
  return stream_.raw();
}

std::unique_ptr<Lane> CudaDevice::make_lane() {
  return cuda::make_lane(index_, stream_.raw());
}

Buffer CudaDevice::allocate(std::int64_t bytes) {
  return device_buffer(index_, bytes);
}

void CudaDevice::upload(const Tensor& host, const Tensor& device) {
  expect_copy(host, device);
  const Range range = step("upload");
  copies_.upload(host, device);
}

void CudaDevice::download(const Tensor& device, const Tensor& host) {
  expect_copy(host, device);
  wait("a download");
  const Range range = step("download");
  copies_.download(device, host);
  usage_.rest();
}

Buffer CudaDevice::allocate_host(std::int64_t bytes) {
  return pinned_buffer(index_, bytes);
}

void CudaDevice::queue_upload(const Tensor& host, const Tensor& device) {
  expect_copy(host, device);
  const Range range = step("upload");
  copy(host, device, cudaMemcpyHostToDevice, stream_.raw());
}

void CudaDevice::queue_download(const Tensor& device, const Tensor& host) {
  expect_copy(host, device);
  const Range range = step("download");
  copy(device, host, cudaMemcpyDeviceToHost, stream_.raw());
}

void CudaDevice::finish() {
  wait("the end");
}

void CudaDevice::reserve(std::int64_t, std::int64_t scored, std::int64_t) {
  if (head_.outputs == 0 || scored == 0) return;
  head_.rows = scored;
  score_.reserve(head_);
}

std::int64_t CudaDevice::free_bytes() {
  check(cudaSetDevice(index_), "choosing the GPU");
  std::size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the free memory");
  return static_cast<std::int64_t>(free);
}

void CudaDevice::make_slots(std::int64_t bytes) {
  wait("making slots");
  slots_.make(bytes);
}

void CudaDevice::bring(std::span<Weight* const> weights, int slot) {
  const Range range = step("bring");
  slots_.bring(weights, slot);
}

double CudaDevice::measure_bring(double seconds) {
  wait("measuring copies");
  return slots_.measure(seconds);
}

const CudaWeight& CudaDevice::there(const Weight& weight) {
  const auto& known = dynamic_cast<const CudaWeight&>(weight);
  slots_.await(known);
  return known;
}

std::unique_ptr<Weight> CudaDevice::pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                                         Residence residence) {
  const Range range = step("pack");
  auto weight = cuda::pack(index_, copies_, matrix, dtype, cuts, residence);
  if (cuts.empty() && matrix.rows > head_.outputs)
    head_ = {.rows = 0,
             .outputs = matrix.rows,
             .inputs = matrix.columns,
             .element_bytes = tensor::size_of(dtype),
             .part_bytes = sizeof(TilePart)};
  return weight;
}

void CudaDevice::embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) {
  expect(table.columns == out.columns && ids.columns == out.rows && out.dtype == DType::f32, "embed");
  const Range range = step("embed");
  cuda::embed(ids, table, first_id, out, stream_.raw());
}

void CudaDevice::norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) {
  expect(x.dtype == DType::f32 && gain.dtype == DType::f32 && gain.columns == out.columns && x.columns == out.columns,
         "norm");
  const Range range = step("norm");
  cuda::norm(x, rows, gain, epsilon, out, stream_.raw());
}

void CudaDevice::matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) {
  expect_matmul(x, weight, accumulate, out);
  if (out.elements() == 0) return;
  const Range range = step("matmul");
  matmul_.run(x, there(weight), bias, accumulate, out);
}

void CudaDevice::add(const Tensor& x, const Tensor& bias, const Tensor& out) {
  expect_add(x, bias, out);
  const Range range = step("add");
  cuda::add(x, bias, out, stream_.raw());
}

void CudaDevice::rope(const Tensor& x, const RopeOptions& options) {
  expect(options.head_size > 0 && options.head_size % 2 == 0 && x.columns % options.head_size == 0 &&
             options.rows.columns == x.rows,
         "rope");
  const Range range = step("rope");
  cuda::rope(x, options, stream_.raw());
}

void CudaDevice::attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
                        const AttendOptions& options, const Tensor& out) {
  const std::int64_t size = options.head_size;
  expect(size > 0 && size <= 256 && size % 2 == 0, "attend takes even head sizes up to 256");
  expect(options.group > 0
             ? options.skipped >= 0 && options.skipped < options.group
             : options.skipped == 0 && options.kv_heads > 0 && options.query_heads % options.kv_heads == 0,
         "attend's groups");
  expect(options.group == 0 || options.query_heads == 0 ||
             (options.query_heads - 1 + options.skipped) / options.group < options.kv_heads,
         "attend's query heads outnumber the groups of its kv heads");
  expect(q.columns == options.query_heads * size && k.columns == options.kv_heads * size && v.columns == k.columns &&
             out.columns == q.columns,
         "attend's heads");
  expect(q.dtype == k.dtype && q.dtype == v.dtype && (q.dtype == DType::f32 || q.dtype == out.dtype), "attend's types");
  const Range range = step("attend");
  attention_.run({q, k, v, sequences, options, out});
}

void CudaDevice::gate(const Tensor& x, Activation activation, const Tensor& out) {
  expect(x.columns == 2 * out.columns && x.rows == out.rows, "gate");
  const Range range = step("gate");
  cuda::gate(x, activation, out, stream_.raw());
}

void CudaDevice::target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                               const Tensor& out) {
  expect_target_logits(hidden, head, targets, out);
  if (hidden.rows == 0) return;
  const Range range = step("target_logits");
  if (head.outputs() == 0 || head.inputs() == 0)
    return check(cudaMemsetAsync(out.data, 0, static_cast<std::size_t>(out.columns * 4), stream_.raw()),
                 "clearing logits");
  score_.target_logits(hidden, there(head), targets, first_id, out);
}

void CudaDevice::score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question,
                       const ScoreParts& parts) {
  expect_score(hidden, head, question, parts);
  if (hidden.rows == 0) return;
  const Range range = step("score");
  score_.run(hidden, there(head), question, parts);
}

void CudaDevice::time(double& seconds, const std::function<void()>& body) {
  check(cudaSetDevice(index_), "choosing the GPU");
  const std::size_t stretch = timeline_.begin(stream_.raw());
  body();
  timeline_.end(stretch, stream_.raw(), seconds);
}

std::string CudaDevice::rehearse(const std::function<void()>& body) {
  on_unknown(Unknown::note);
  body();
  finish();
  std::string steps;
  for (const ProductKey& key : products_.noted()) steps += fmt::format("{} {}\n", products_section, text_of(key));
  for (const AttentionKey& key : attention_.noted()) steps += fmt::format("{} {}\n", attention_section, text_of(key));
  on_unknown(Unknown::choose);
  return steps;
}

Tuned CudaDevice::tune_step(std::string_view line, Algorithms& fresh) {
  const std::string_view section = line.substr(0, line.find(' '));
  const std::string_view rest = line.substr(std::min(line.size(), section.size() + 1));
  if (section == attention_section) {
    const auto key = read_attention_key(rest);
    expect(key.has_value(), "attention to tune");
    const TunedAttention attention = attention_.tune(*key);
    fresh.add(attention_section, text_of(*key), text_of(attention.choice));
    return {std::string(line), attention.seconds, attention.own_seconds, attention.flop, attention.note};
  }
  const auto key = read_product_key(rest);
  expect(section == products_section && key, "steps to tune");
  const TunedProduct product = products_.tune(*key);
  fresh.add(products_section, text_of(*key), text_of(product.choice));
  std::string note;
  if (product.left_out > 0)
    note = fmt::format("{:.1f} TFLOP/s with other bits, left out", product.flop / product.left_out / 1e12);
  return {std::string(line), product.seconds, product.first_seconds, product.flop, note};
}

void CudaDevice::on_unknown(Unknown what) {
  products_.on_unknown(what);
  attention_.on_unknown(what);
}

Tuning CudaDevice::tune(std::string_view steps) {
  const Range range = step("tune");
  const auto start = std::chrono::steady_clock::now();
  Algorithms fresh(isa_);
  Tuning tuning;
  for (std::size_t end = 0; !steps.empty(); steps.remove_prefix(end + 1)) {
    end = steps.find('\n');
    expect(end != std::string_view::npos, "steps to tune");
    tuning.steps.push_back(tune_step(steps.substr(0, end), fresh));
  }
  tuning.algorithms = fresh.text();
  tuning.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return tuning;
}

double CudaDevice::measure_peak(DType dtype, double seconds) {
  const Range range = step("measure_peak");
  return products_.measure_peak(dtype, seconds);
}

}  // namespace thresher::device::cuda
