// A device that counts: calls, seconds, arithmetic and memory traffic of every step of the device it wraps.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "thresher/device/device.h"

namespace thresher::device {

// Totals of one step since the start or the last `reset`. `flop` counts additions and multiplications of the products
// and of attention's real (causal, windowed) pairs; `bytes` each operand once, read or written, and is an estimate.
struct StepCost {
  std::string step;
  std::int64_t calls = 0;
  double seconds = 0;
  double flop = 0;
  double bytes = 0;
};

// Pairs of query and key that causal attention with this window computes over these sequence lengths.
double attended_pairs(const std::vector<std::int64_t>& lengths, std::int64_t window);

class TracingDevice : public Device {
 public:
  // Called after each step, when its work is done, with every output: two devices' dumps show where they part.
  using Dump = std::function<void(const std::string& step, std::int64_t call, const Tensor& output)>;

  // `inner` must outlive this.
  explicit TracingDevice(Device& inner) : inner_(inner) {}
  ~TracingDevice() override;
  TracingDevice(const TracingDevice&) = delete;

  void dump_to(Dump dump) { dump_ = std::move(dump); }
  // Called before each step; what it throws ends the step.
  void before_steps(std::function<void()> hook) { hook_ = std::move(hook); }
  // By falling time.
  std::vector<StepCost> steps() const;
  void reset();

  std::string kind() const override { return inner_.kind(); }
  std::string isa() const override { return inner_.isa(); }
  int threads() const override { return inner_.threads(); }
  bool quantises() const override { return inner_.quantises(); }
  bool host_memory() const override { return inner_.host_memory(); }
  bool shares_prefixes() const override { return inner_.shares_prefixes(); }
  void* queue() override { return inner_.queue(); }
  std::unique_ptr<Lane> make_lane() override { return inner_.make_lane(); }
  Buffer allocate(std::int64_t bytes) override { return inner_.allocate(bytes); }
  void upload(const Tensor& host, const Tensor& device) override;
  void download(const Tensor& device, const Tensor& host) override;
  void finish() override { inner_.finish(); }
  Buffer allocate_host(std::int64_t bytes) override { return inner_.allocate_host(bytes); }
  void queue_upload(const Tensor& host, const Tensor& device) override;
  void queue_download(const Tensor& device, const Tensor& host) override;
  std::unique_ptr<Mark> make_mark() override { return inner_.make_mark(); }
  void count_use() override { inner_.count_use(); }
  std::optional<DeviceUse> use() const override { return inner_.use(); }
  using Device::pack;
  void reserve(std::int64_t rows, std::int64_t scored, std::int64_t top_k) override {
    inner_.reserve(rows, scored, top_k);
  }
  std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                               Residence residence) override;
  std::int64_t free_bytes() override { return inner_.free_bytes(); }
  void make_slots(std::int64_t bytes) override { inner_.make_slots(bytes); }
  void bring(std::span<Weight* const> weights, int slot) override { inner_.bring(weights, slot); }
  double measure_bring(double seconds) override { return inner_.measure_bring(seconds); }
  BringTime bring_time() const override { return inner_.bring_time(); }
  void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) override;
  void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) override;
  void matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) override;
  void add(const Tensor& x, const Tensor& bias, const Tensor& out) override;
  void rope(const Tensor& x, const RopeOptions& options) override;
  void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
              const AttendOptions& options, const Tensor& out) override;
  void gate(const Tensor& x, Activation activation, const Tensor& out) override;
  // Counts the products as matmul and the rest as gate.
  void matmul_gate(const Tensor& x, const Weight& weight, const Tensor& bias, Activation activation, const Tensor& wide,
                   const Tensor& out) override;
  std::optional<double> gate_seconds() const override { return inner_.gate_seconds(); }
  void target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                     const Tensor& out) override;
  void score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question, const ScoreParts& parts) override;
  ScoreTime score_time() const override { return inner_.score_time(); }
  void time(double& seconds, const std::function<void()>& body) override { inner_.time(seconds, body); }
  double measure_peak(DType dtype, double seconds) override { return inner_.measure_peak(dtype, seconds); }

 private:
  template <class Body>
  void timed(const char* step, double flop, double bytes, const Body& body);
  void dump(const char* step, const Tensor& output) const;

  Device& inner_;
  Dump dump_;
  std::function<void()> hook_;
  std::map<std::string, StepCost> costs_;
};

}  // namespace thresher::device
