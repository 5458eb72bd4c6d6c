// The CUDA device: one stream in order, and a second one inside `score`. See thresher/device/device.h for what each
// call means. Steps return when their work is queued; `finish` waits, and finds what went wrong on the GPU.
#pragma once

#include <string>
#include <vector>

#include "device/cuda/runtime/attention.h"
#include "device/cuda/runtime/matmul.h"
#include "device/cuda/runtime/memory.h"
#include "device/cuda/runtime/product.h"
#include "device/cuda/runtime/range.h"
#include "device/cuda/runtime/score.h"
#include "device/cuda/runtime/slots.h"
#include "device/cuda/runtime/timeline.h"
#include "device/cuda/runtime/usage.h"
#include "thresher/device/cuda.h"

namespace thresher::device::cuda {

class CudaDevice : public Device {
 public:
  CudaDevice(const CudaOptions& options, const Gpu& gpu);
  ~CudaDevice() override;

  std::string kind() const override { return "cuda"; }
  std::string isa() const override { return isa_ + attention_.told(); }
  int threads() const override { return threads_; }
  bool host_memory() const override { return false; }
  void* queue() override;
  std::unique_ptr<Lane> make_lane() override;

  Buffer allocate(std::int64_t bytes) override;
  void upload(const Tensor& host, const Tensor& device) override;
  void download(const Tensor& device, const Tensor& host) override;
  void finish() override;
  Buffer allocate_host(std::int64_t bytes) override;
  void queue_upload(const Tensor& host, const Tensor& device) override;
  void queue_download(const Tensor& device, const Tensor& host) override;
  std::unique_ptr<Mark> make_mark() override;
  void count_use() override { usage_.reset(); }
  std::optional<DeviceUse> use() const override { return usage_.use(); }
  void reserve(std::int64_t rows, std::int64_t scored, std::int64_t top_k) override;

  using Device::pack;
  std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                               Residence residence) override;
  std::int64_t free_bytes() override;
  void make_slots(std::int64_t bytes) override;
  void bring(std::span<Weight* const> weights, int slot) override;
  double measure_bring(double seconds) override;
  BringTime bring_time() const override { return slots_.time(); }
  void embed(const Tensor& ids, const Tensor& table, std::int64_t first_id, const Tensor& out) override;
  void norm(const Tensor& x, const Tensor& rows, const Tensor& gain, float epsilon, const Tensor& out) override;
  void matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) override;
  void add(const Tensor& x, const Tensor& bias, const Tensor& out) override;
  void rope(const Tensor& x, const RopeOptions& options) override;
  void attend(const Tensor& q, const Tensor& k, const Tensor& v, const Sequences& sequences,
              const AttendOptions& options, const Tensor& out) override;
  void gate(const Tensor& x, Activation activation, const Tensor& out) override;
  void target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                     const Tensor& out) override;
  void score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question, const ScoreParts& parts) override;
  ScoreTime score_time() const override { return score_.time(); }
  void time(double& seconds, const std::function<void()>& body) override;
  double measure_peak(DType dtype, double seconds) override;

  // See thresher/device/cuda.h.
  std::string algorithms() const { return algorithms_.text(); }
  std::string rehearse(const std::function<void()>& body);
  Tuning tune(std::string_view steps);
  std::int64_t allocated_peak() const { return cuda::allocated_peak(index_); }
  void take_algorithms(std::string_view text) { algorithms_.merge(text); }

 private:
  // Any thread may call, and CUDA remembers the GPU by thread. `name` appears in the message where the step fails
  // later.
  [[nodiscard]] Range step(const char* name);
  void on_unknown(Unknown what);
  Tuned tune_step(std::string_view line, Algorithms& fresh);
  // Waits; `doing` is what was asked for.
  void wait(const char* doing);
  // The weight, to be read by the next step.
  const CudaWeight& there(const Weight& weight);
  // Throws where a wait ended with this code.
  void expect_success(cudaError_t code, const char* doing) const;
  class QueueMark;

  const Gpu gpu_;
  const int index_, threads_;
  const std::string isa_;
  const bool one_by_one_;  // THRESHER_CUDA_WAIT: wait for each step, so that a failure names the right one
  StreamHandle stream_;
  Copies copies_;
  Timeline timeline_;
  Usage usage_;
  Algorithms algorithms_;
  Products products_;
  Attention attention_;
  Matmul matmul_;
  Score score_;
  Slots slots_;
  std::vector<const char*> running_;  // first steps that nobody has waited for, no two alike in a row
  std::int64_t waited_for_ = 0;       // steps that were in running_ before those
  ScoreShape head_;                   // of the weight with the most outputs, most likely the head
};

}  // namespace thresher::device::cuda
