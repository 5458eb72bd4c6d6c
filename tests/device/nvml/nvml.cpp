// A fake libnvidia-ml.so.1: one GPU that answers what FAKE_NVML in the environment says, a word a call.
//
//   init=N, uuid=N: these calls fail with the code N
//   energy=none|wrap: the counter is not supported; or goes back once
#include <cstdlib>
#include <cstring>

namespace {

constexpr int not_supported = 3;

bool says(const char* word) {
  const char* const text = std::getenv("FAKE_NVML");
  return text && std::strstr(text, word);
}

unsigned long long asked = 0;  // of energy

}  // namespace

extern "C" {

int nvmlInit_v2() {
  return says("init=") ? 9 : 0;
}
int nvmlShutdown() {
  return 0;
}
const char* nvmlErrorString(int code) {
  return code == 9 ? "Driver Not Loaded" : "Not Found";
}
int nvmlDeviceGetHandleByUUID(const char* uuid, void** device) {
  *device = &asked;
  return says("uuid=") || std::strncmp(uuid, "GPU-", 4) != 0 ? 6 : 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void*, unsigned long long* millijoules) {
  if (says("energy=none")) return not_supported;
  *millijoules = 5'000'000 + 250'000 * asked;
  if (says("energy=wrap") && asked > 0) *millijoules -= 5'100'000;
  ++asked;
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* milliwatts) {
  *milliwatts = 400'000;
  return 0;
}
int nvmlDeviceGetUtilizationRates(void*, unsigned* shares) {
  shares[0] = 97, shares[1] = 40;
  return 0;
}
int nvmlDeviceGetMemoryInfo(void*, unsigned long long* memory) {
  memory[0] = 80ull << 30, memory[1] = 50ull << 30, memory[2] = 30ull << 30;
  return 0;
}
int nvmlDeviceGetClockInfo(void*, unsigned, unsigned* megahertz) {
  *megahertz = 1755;
  return 0;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void*, unsigned long long* reasons) {
  *reasons = says("hot") ? 0x40 : 0x1;
  return 0;
}

}  // extern "C"
