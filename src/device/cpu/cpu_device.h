// The CPU device. See thresher/device/device.h for what each call means.
#pragma once

#include <memory>
#include <string>

#include "device/cpu/crew.h"
#include "device/cpu/cut_product.h"
#include "device/cpu/gated_product.h"
#include "device/cpu/int8_product.h"
#include "device/cpu/kernels.h"
#include "device/cpu/product.h"
#include "device/cpu/score.h"
#include "device/cpu/whole_product.h"
#include "thresher/device/device.h"

namespace thresher::device::cpu {

class CpuDevice : public Device {
 public:
  CpuDevice(const DeviceOptions& options, Isa isa);

  std::string kind() const override { return "cpu"; }
  std::string isa() const override;
  bool shares_prefixes() const override { return true; }
  int threads() const override { return crew_.threads(); }

  bool quantises() const override { return true; }

  Buffer allocate(std::int64_t bytes) override;
  void upload(const Tensor& host, const Tensor& device) override;
  void download(const Tensor& device, const Tensor& host) override;
  void finish() override {}
  void reserve(std::int64_t rows, std::int64_t scored, std::int64_t top_k) override;

  std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                               Residence residence) override;
  void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) override;
  void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) override;
  void matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) override;
  void add(const Tensor& x, const Tensor& bias, const Tensor& out) override;
  void rope(const Tensor& x, const RopeOptions& options) override;
  void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
              const AttendOptions& options, const Tensor& out) override;
  void gate(const Tensor& x, Activation activation, const Tensor& out) override;
  void matmul_gate(const Tensor& x, const Weight& weight, const Tensor& bias, Activation activation, const Tensor& wide,
                   const Tensor& out) override;
  std::optional<double> gate_seconds() const override { return gated_products_.gate_seconds() + gate_seconds_; }
  using Device::pack;
  void target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                     const Tensor& out) override;
  void score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question, const ScoreParts& parts) override;
  ScoreTime score_time() const override { return score_time_; }
  double measure_peak(DType dtype, double seconds) override;

 private:
  // oneDNN asks OpenMP how many threads it may use; each product here runs on the thread that asks for it. A step may
  // come from any thread.
  void claim_threads() const;
  void grow(Buffer& buffer, std::int64_t bytes_per_thread) const;

  // Query heads [head, head + heads), which read one kv head.
  struct Lane {
    std::int64_t head, heads, kv_head;
  };
  // Fills `lanes_` and returns the rows of a task: the more, the less often keys and values are packed, but every
  // thread gets several.
  std::int64_t find_lanes(const AttendOptions& options, std::int64_t rows);
  // Fills `tasks_` without heads and returns the pairs of a query and a key.
  std::int64_t find_tasks(const Sequences& sequences, std::int64_t rows, std::int64_t height);
  void gate_quantised(const Tensor& x, Gate activation, const Tensor& out);
  Tensor dense_hidden(const Tensor& hidden, const PackedWeight& head);

  Crew crew_;
  const Kernels& kernels_;
  Products products_;
  WholeProducts whole_products_;
  CutProducts cut_products_;
  Int8Products int8_products_;
  GatedProducts gated_products_;
  Score score_;
  ScoreTime score_time_;
  double gate_seconds_ = 0;  // of gates after a product
  Buffer dense_hidden_;      // of the head, where its rows cannot be taken where they lie
  Buffer gated_;             // one row per thread, where a gate's output is quantised
  std::vector<AttendTask> tasks_;
  std::vector<KeyRun> key_runs_;  // of sequences that begin with rows of others
  std::vector<Lane> lanes_;
};

}  // namespace thresher::device::cpu
