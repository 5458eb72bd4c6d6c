// The real cuDNN makes attention's plans here, for GPUs that it is told about. That none of them is run, only a GPU can
// make good.
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>

#include "device/cuda/cudnn/plan.h"
#include "device/cudnn/driver.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda::cudnn {
namespace {

struct Gpu {
  int version, processors, shared_bytes;
  const char* name;
};
constexpr Gpu a100{800, 108, 166912, "A100"}, h100{900, 132, 232448, "H100"};

Descriptor described(const Gpu& gpu) {
  return machine(fmt::format(
      R"({{"deviceVer": {}, "multiProcessorCount": {}, "maxSharedMemoryPerBlockOptin": {}, "deviceName": "{}",)"
      R"("maxGridSize": [2147483647, 65535, 65535], "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536,)"
      R"("warpSize": 32, "maxSharedMemoryPerBlock": 49152, "reservedSharedMemoryPerBlock": 1024,)"
      R"("maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024, "maxThreadsPerSM": 2048,)"
      R"("pciDeviceId": 0, "isTccDriver": 0, "supportCoopLaunch": 1, "totalGlobalMem": 85000000000,)"
      R"("smClockRateKHz": 1980000, "memClockRateKHz": 2619000, "l2CacheSize": 52428800, "cudaDeviceId": 0,)"
      R"("driverVer": 13000}})",
      gpu.version, gpu.processors, gpu.shared_bytes, gpu.name));
}

fake::Loaded loaded() {
  static const auto ask = [] {
    void* driver = dlopen("libcuda.so.1", RTLD_NOW);
    const auto found = driver ? reinterpret_cast<fake::Loaded (*)()>(dlsym(driver, "thresher_loaded")) : nullptr;
    if (!found)
      base::fail(base::Exit::unavailable,
                 "this test needs its own stand-in for the driver: run it by ctest, or with its folder "
                 "(tests/device/cudnn/driver) in LD_LIBRARY_PATH");
    return found;
  }();
  return ask();
}

bool cudnn_is_here() {
  if (library().functions) return true;
  BOOST_TEST_MESSAGE("skipped: " << library().trouble);
  return false;
}

PackedShape shape_of(std::int64_t query_heads, std::int64_t kv_heads, std::int64_t head_size, std::int64_t sequences,
                     std::int64_t rows) {
  const std::int64_t row = (query_heads + 2 * kv_heads) * head_size;
  return {query_heads, kv_heads, head_size, {row, row, row, query_heads * head_size}, sequences, rows};
}

// The machine code of a plan; notes its workspace in `most`.
std::uint64_t code_of(const PackedShape& shape, const Engine& engine, const Descriptor& gpu, std::int64_t& most) {
  const std::int64_t before = loaded().count;
  const Plan plan(Graph(attention(shape), gpu), engine);
  BOOST_TEST(loaded().count == before + 1);
  most = std::max(most, plan.workspace());
  return loaded().hash;
}

Engine first_engine(const PackedShape& shape, const Descriptor& gpu) {
  const auto found = engines(Graph(attention(shape), gpu));
  BOOST_REQUIRE(!found.empty());
  return found.front();
}

BOOST_AUTO_TEST_SUITE(cudnn_plans)

BOOST_AUTO_TEST_CASE(every_head_size_and_group_has_an_engine) {
  if (!cudnn_is_here()) return;
  BOOST_TEST_MESSAGE("cuDNN " << version_text(functions().version()));
  for (const Gpu& gpu : {a100, h100}) {
    const Descriptor machine = described(gpu);
    for (const std::int64_t size : {16, 32, 64, 72, 80, 96, 112, 128, 192, 256})
      for (const auto& [query_heads, kv_heads] : {std::pair{32, 8}, {32, 32}, {14, 2}, {5, 1}, {1, 1}}) {
        const auto found = engines(Graph(attention(shape_of(query_heads, kv_heads, size, 64, 2048)), machine));
        BOOST_TEST(!found.empty(), gpu.name << ", heads of " << size << ", " << query_heads << " of " << kv_heads);
        for (const Engine& engine : found) BOOST_TEST(!engine.knobs.empty());
      }
  }
}

// What makes a row's bits independent of the bucket: it is the same program.
BOOST_AUTO_TEST_CASE(an_engine_is_the_same_program_in_every_bucket) {
  if (!cudnn_is_here()) return;
  for (const Gpu& gpu : {a100, h100}) {
    const Descriptor machine = described(gpu);
    for (const std::int64_t size : {64, 128}) {
      const Engine engine = first_engine(shape_of(32, 8, size, 16, 2048), machine);
      std::int64_t workspace = 0;
      const std::uint64_t code = code_of(shape_of(32, 8, size, 16, 2048), engine, machine, workspace);
      BOOST_TEST_MESSAGE(gpu.name << ", heads of " << size << ": engine " << text_of(engine) << ", "
                                  << loaded().kernel);
      for (const auto& [sequences, rows] : {std::pair{16, 128}, {1024, 512}, {1024, 32768}, {16, 131072}})
        BOOST_TEST(code_of(shape_of(32, 8, size, sequences, rows), engine, machine, workspace) == code);
      BOOST_TEST(workspace <= std::int64_t{1} << 20);
    }
  }
}

BOOST_AUTO_TEST_CASE(an_engine_is_the_same_program_for_any_heads) {
  if (!cudnn_is_here()) return;
  const Descriptor machine = described(h100);
  const Engine engine = first_engine(shape_of(16, 4, 128, 16, 2048), machine);
  std::int64_t workspace = 0;
  const std::uint64_t code = code_of(shape_of(16, 4, 128, 16, 2048), engine, machine, workspace);
  for (const auto& [query_heads, kv_heads] : {std::pair{32, 8}, {7, 1}, {1, 1}})
    BOOST_TEST(code_of(shape_of(query_heads, kv_heads, 128, 16, 2048), engine, machine, workspace) == code);
}

BOOST_AUTO_TEST_CASE(other_engines_are_other_programs) {
  if (!cudnn_is_here()) return;
  const Descriptor machine = described(h100);
  const PackedShape shape = shape_of(32, 8, 128, 16, 2048);
  const auto found = engines(Graph(attention(shape), machine));
  BOOST_REQUIRE(found.size() >= 2u);
  std::int64_t workspace = 0;
  BOOST_TEST(code_of(shape, found[0], machine, workspace) != code_of(shape, found[1], machine, workspace));
}

BOOST_AUTO_TEST_CASE(graphs_that_engines_do_not_know) {
  if (!cudnn_is_here()) return;
  const Descriptor machine = described(h100);
  const auto engines_without = [&](auto&& drop) {
    Sheet sheet = attention(shape_of(32, 8, 128, 16, 2048));
    BOOST_TEST(sheet.operations.size() == 20u);
    std::erase_if(sheet.operations, drop);
    return engines(Graph(sheet, machine)).size();
  };
  // The mask of what comes later is the last choice; the product with v reads the one before then.
  const std::size_t without_statistics = engines_without([](const Operation& o) {
    return o.kind == Operation::elementwise && (o.mode == CUDNN_POINTWISE_LOG || o.mode == CUDNN_POINTWISE_ADD);
  });
  BOOST_TEST_MESSAGE("engines without the statistics: " << without_statistics);
  if (functions().version() / 100 == 919) BOOST_TEST(without_statistics == 0u);
  BOOST_TEST(engines_without([](const Operation& o) { return o.kind == Operation::reduction; }) == 0u);
}

BOOST_AUTO_TEST_CASE(what_does_not_fit_is_refused_with_cudnn_s_words) {
  if (!cudnn_is_here()) return;
  const Descriptor machine = described(a100);
  const auto says = [](const char* words) {
    return [words](const base::Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return error.code() == base::Exit::os && std::string(error.what()).find(words) != std::string::npos;
    };
  };
  const Graph graph(attention(shape_of(32, 8, 128, 16, 2048)), machine);
  BOOST_CHECK_EXCEPTION(Plan(graph, Engine{.index = 99, .knobs = {{24, 3}}}), base::Error, says("choosing an engine"));
  BOOST_CHECK_EXCEPTION(described({800, 108, 166912, "\""}), base::Error, says("describing a GPU"));
  BOOST_TEST(!serves_head(12));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda::cudnn
