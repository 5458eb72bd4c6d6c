#include "thresher/device/device.h"

#include <chrono>

namespace thresher::device {

void Device::time(double& seconds, const std::function<void()>& body) {
  finish();
  const auto start = std::chrono::steady_clock::now();
  body();
  finish();
  seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace thresher::device
