// The CPU device. See thresher/device/device.h for what each call means.
#pragma once

#include <memory>
#include <string>

#include "device/cpu/crew.h"
#include "device/cpu/kernels.h"
#include "device/cpu/product.h"
#include "device/cpu/score.h"
#include "thresher/device/device.h"

namespace thresher::device::cpu {

class CpuDevice : public Device {
 public:
  CpuDevice(const DeviceOptions& options, Isa isa);

  std::string kind() const override { return "cpu"; }
  std::string isa() const override;
  int threads() const override { return crew_.threads(); }

  Buffer allocate(std::int64_t bytes) override;
  void upload(const Tensor& host, const Tensor& device) override;
  void download(const Tensor& device, const Tensor& host) override;
  void finish() override {}
  void reserve(std::int64_t rows, std::int64_t scored, std::int64_t top_k) override;

  std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype) override;
  void embed(const Tensor& ids, const Tensor& table, const Tensor& out) override;
  void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) override;
  void matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) override;
  void rope(const Tensor& x, const RopeOptions& options) override;
  void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
              const AttendOptions& options, const Tensor& out) override;
  void gate(const Tensor& x, Activation activation, const Tensor& out) override;
  void score(const Tensor& hidden, const Weight& head, const Tensor& targets, const ScoreOutput& out) override;
  ScoreTime score_time() const override { return score_time_; }
  double measure_peak(DType dtype, double seconds) override;

 private:
  // Rows [first, first + rows) of a product, with what they need to be copied for.
  struct Span;
  void multiply(const Span& span, std::int64_t first, std::int64_t rows, int thread) const;
  // oneDNN asks OpenMP how many threads it may use; each product here runs on the thread that asks for it. A step may
  // come from any thread.
  void claim_threads() const;
  void grow(Buffer& buffer, std::int64_t bytes_per_thread) const;

  Crew crew_;
  const Kernels& kernels_;
  Products products_;
  Score score_;
  ScoreTime score_time_;
  Buffer staged_x_, staged_out_;  // one slice per thread: rows that oneDNN cannot take where they lie
  Buffer dense_hidden_;           // of `score`, where its rows cannot be taken where they lie
  std::vector<AttendTask> tasks_;
};

}  // namespace thresher::device::cpu
