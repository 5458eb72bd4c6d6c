#include <cstdint>
#include <span>

#include "thresher/base/clock.h"
#include "thresher/comm/device_sums.h"
#include "thresher/tensor/buffer.h"

namespace thresher::comm {
namespace {

using tensor::Tensor;

class HostSums : public DeviceSums {
 public:
  HostSums(Comm& ranks, device::Device& device) : ranks_(ranks), device_(device) {}

  int size() const override { return ranks_.size(); }

  void add_up(const Tensor& x) override {
    on_host<float>(x, [&](std::span<float> values) { ranks_.all_reduce(values); });
  }

  void unite(const Tensor& x) override {
    on_host<std::uint32_t>(x, [&](std::span<std::uint32_t> bits) { ranks_.all_reduce_bits(bits); });
  }

  double seconds() const override { return seconds_; }

 private:
  // `reduce` gets the elements, in the device's own memory where the host reaches it.
  template <class T, class Reduce>
  void on_host(const Tensor& x, const Reduce& reduce) {
    if (device_.host_memory()) {
      device_.finish();
      return timed<T>(x, reduce);
    }
    const std::int64_t bytes = x.elements() * tensor::size_of(x.dtype);
    if (staged_.bytes() < bytes) staged_ = tensor::host_buffer(bytes);
    const Tensor host = tensor::matrix(staged_.data(), x.dtype, x.rows, x.columns);
    device_.download(x, host);
    timed<T>(host, reduce);
    device_.upload(host, x);
  }

  template <class T, class Reduce>
  void timed(const Tensor& host, const Reduce& reduce) {
    const base::Stopwatch watch;
    reduce(std::span(host.as<T>(), static_cast<std::size_t>(host.elements())));
    seconds_ += watch.seconds();
  }

  Comm& ranks_;
  device::Device& device_;
  tensor::Buffer staged_;
  double seconds_ = 0;
};

}  // namespace

std::unique_ptr<DeviceSums> host_sums(Comm& ranks, device::Device& device) {
  return std::make_unique<HostSums>(ranks, device);
}

}  // namespace thresher::comm
