#include <dlfcn.h>
#include <fmt/format.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "device/cuda/gpu_account.h"
#include "thresher/base/clock.h"
#include "thresher/base/log.h"

namespace thresher::device {
namespace {

using cuda::GpuLook;

// NVML's own types, as its documentation lays them out: the toolkit does not bring its header everywhere.
using NvmlDevice = struct nvmlDevice_st*;
struct NvmlUtilisation {
  unsigned gpu, memory;
};
struct NvmlMemory {
  unsigned long long total, free, used;
};
constexpr int success = 0;
constexpr unsigned processors_clock = 1;

// The library, loaded once and never unloaded.
struct Nvml {
  int (*init)() = nullptr;
  int (*shutdown)() = nullptr;
  const char* (*error_text)(int) = nullptr;
  int (*device_of)(const char*, NvmlDevice*) = nullptr;
  // Optional: old drivers lack some.
  int (*energy)(NvmlDevice, unsigned long long*) = nullptr;
  int (*power)(NvmlDevice, unsigned*) = nullptr;
  int (*utilisation)(NvmlDevice, NvmlUtilisation*) = nullptr;
  int (*memory)(NvmlDevice, NvmlMemory*) = nullptr;
  int (*clock)(NvmlDevice, unsigned, unsigned*) = nullptr;
  int (*reasons)(NvmlDevice, unsigned long long*) = nullptr;

  // Why it cannot be used; empty where it can.
  std::string load(const std::string& file) {
    void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) return dlerror();
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    };
    find(init, "nvmlInit_v2");
    find(shutdown, "nvmlShutdown");
    find(error_text, "nvmlErrorString");
    find(device_of, "nvmlDeviceGetHandleByUUID");
    find(energy, "nvmlDeviceGetTotalEnergyConsumption");
    find(power, "nvmlDeviceGetPowerUsage");
    find(utilisation, "nvmlDeviceGetUtilizationRates");
    find(memory, "nvmlDeviceGetMemoryInfo");
    find(clock, "nvmlDeviceGetClockInfo");
    find(reasons, "nvmlDeviceGetCurrentClocksThrottleReasons");
    return init && shutdown && error_text && device_of ? "" : fmt::format("{} is no NVML", file);
  }
};

// What `call` answers, where it is there and succeeds.
template <class Value, class Call, class... More>
std::optional<Value> ask(Call call, NvmlDevice gpu, More... more) {
  Value value{};
  if (!call || call(gpu, more..., &value) != success) return std::nullopt;
  return value;
}

GpuLook look_at(const Nvml& nvml, NvmlDevice gpu) {
  GpuLook look{.time = base::real_clock().seconds()};
  look.millijoules = ask<unsigned long long>(nvml.energy, gpu);
  look.milliwatts = ask<unsigned>(nvml.power, gpu);
  if (const auto shares = ask<NvmlUtilisation>(nvml.utilisation, gpu)) look.percent = shares->gpu;
  if (const auto memory = ask<NvmlMemory>(nvml.memory, gpu)) look.bytes = memory->used;
  look.megahertz = ask<unsigned>(nvml.clock, gpu, processors_clock);
  look.reasons = ask<unsigned long long>(nvml.reasons, gpu);
  return look;
}

class NvmlMeter : public GpuMeter {
 public:
  NvmlMeter(const Nvml& nvml, NvmlDevice gpu, double period)
      : nvml_(nvml), gpu_(gpu), period_(period), thread_([this] { run(); }) {}
  ~NvmlMeter() override { end(); }

  GpuUse stop() override {
    end();
    return account_.use();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    do account_.add(look_at(nvml_, gpu_));
    while (!ended_.wait_for(lock, std::chrono::duration<double>(period_), [this] { return over_; }));
    account_.add(look_at(nvml_, gpu_));
  }
  void end() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    ended_.notify_one();
    thread_.join();
    static_cast<void>(nvml_.shutdown());
  }

  const Nvml nvml_;
  const NvmlDevice gpu_;
  const double period_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool over_ = false;
  cuda::GpuAccount account_;  // the thread's, until it has ended
  std::thread thread_;
};

}  // namespace

std::unique_ptr<GpuMeter> watch_gpu(const std::string& uuid, const GpuMeter::Options& options) {
  const auto none = [](const std::string& why) {
    base::info(fmt::format("no energy and utilisation of the GPU: {}", why));
    return nullptr;
  };
  Nvml nvml;
  if (const std::string trouble = nvml.load(options.library); !trouble.empty()) return none(trouble);
  if (const int code = nvml.init(); code != success) return none(nvml.error_text(code));
  NvmlDevice gpu = nullptr;
  if (const int code = nvml.device_of(uuid.c_str(), &gpu); code != success) {
    const std::string why = fmt::format("NVML does not know {}: {}", uuid, nvml.error_text(code));
    static_cast<void>(nvml.shutdown());
    return none(why);
  }
  return std::make_unique<NvmlMeter>(nvml, gpu, options.period);
}

}  // namespace thresher::device
