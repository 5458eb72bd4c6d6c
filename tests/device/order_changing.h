// A device that breaks the promise of one order of operations, as libraries of matrix products do that split long sums
// where the batch is large: the checks for equal bits have to find it.
#pragma once

#include <utility>

#include "thresher/device/tracing.h"

namespace thresher::device {

// `inner` with other products: batches of more than `rows` rows sum the inputs in two halves. `inner` must outlive
// this.
class OrderChangingDevice : public TracingDevice {
 public:
  OrderChangingDevice(Device& inner, std::int64_t rows) : TracingDevice(inner), rows_(rows) {}

  using Device::pack;
  std::unique_ptr<Weight> pack(const Tensor& matrix, DType dtype, std::span<const std::int64_t> cuts,
                               Residence residence) override {
    const std::int64_t halves[] = {0, matrix.columns / 2, matrix.columns};
    auto whole = TracingDevice::pack(matrix, dtype, cuts, residence);
    return std::make_unique<TwoOrders>(std::move(whole), TracingDevice::pack(matrix, dtype, halves, residence));
  }
  void matmul(const Tensor& x, const Weight& weight, const Tensor& bias, bool accumulate, const Tensor& out) override {
    const auto& orders = static_cast<const TwoOrders&>(weight);
    TracingDevice::matmul(x, x.rows > rows_ ? *orders.halves : *orders.whole, bias, accumulate, out);
  }
  void matmul_gate(const Tensor& x, const Weight& weight, const Tensor& bias, Activation activation, const Tensor& wide,
                   const Tensor& out) override {
    Device::matmul_gate(x, weight, bias, activation, wide, out);
  }
  void target_logits(const Tensor& hidden, const Weight& head, const Tensor& targets, std::int64_t first_id,
                     const Tensor& out) override {
    TracingDevice::target_logits(hidden, *static_cast<const TwoOrders&>(head).whole, targets, first_id, out);
  }
  void score(const Tensor& hidden, const Weight& head, const ScoreQuestion& question,
             const ScoreParts& parts) override {
    TracingDevice::score(hidden, *static_cast<const TwoOrders&>(head).whole, question, parts);
  }

 private:
  struct TwoOrders : Weight {
    TwoOrders(std::unique_ptr<Weight> one, std::unique_ptr<Weight> two)
        : whole(std::move(one)), halves(std::move(two)) {}
    std::int64_t outputs() const override { return whole->outputs(); }
    std::int64_t inputs() const override { return whole->inputs(); }
    DType dtype() const override { return whole->dtype(); }
    std::int64_t bytes() const override { return whole->bytes() + halves->bytes(); }

    const std::unique_ptr<Weight> whole, halves;
  };

  const std::int64_t rows_;
};

}  // namespace thresher::device
