#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <string_view>

#include "app/commands/child.h"
#include "app/commands/doctor.h"
#include "thresher/base/check.h"
#include "thresher/base/machine.h"
#include "thresher/comm/nccl.h"
#include "thresher/device/cuda.h"
#include "thresher/model/checkpoint.h"
#include "thresher/model/config.h"

namespace thresher::app {
namespace {

constexpr double driver_patience = 60;  // seconds; a driver that is not kept loaded takes some

struct Library {
  std::string_view name;
  std::array<const char*, 3> files;
  std::string_view without;  // what is different without it
};

constexpr std::array<Library, 3> libraries{{
    {"cuBLASLt", {"libcublasLt.so.13", nullptr, nullptr}, "no GPU can be used"},
    {"cuDNN", {"libcudnn_graph.so.9", nullptr, nullptr}, "attention takes thresher's own kernels"},
    {"NVML", {"libnvidia-ml.so.1", nullptr, nullptr}, "nvidia-smi does not work either"},
}};

bool can_load(const Library& library) {
  for (const char* file : library.files)
    if (file != nullptr && dlopen(file, RTLD_LAZY | RTLD_LOCAL) != nullptr) return true;
  return false;
}

// Runs in the child: a line for each thing, what it is first.
int look_at_gpus() {
  try {
    for (const device::Gpu& gpu : device::gpus()) {
      std::printf("gpu %s, %s, compute capability %d.%d\n", gpu.name.c_str(), bytes_text(gpu.memory).c_str(), gpu.major,
                  gpu.minor);
    }
  } catch (const base::Error& error) {
    std::printf("trouble %s\n", error.what());
  }
  for (const Library& library : libraries)
    std::printf("%s %s\n", can_load(library) ? "found" : "lacks", std::string(library.name).c_str());
  const comm::NcclState nccl = comm::nccl_state();
  std::printf("%s NCCL\n", nccl.version > 0 ? "found" : "lacks");
  return 0;
}

std::string driver_version() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string line;
  std::getline(file, line);
  return line;
}

struct Look {
  std::vector<std::string> gpus, found, lacks;
  std::string trouble;
};

Look parse_look(const std::string& text) {
  Look look;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size()), space = text.find(' ', at);
    if (space < end) {
      const std::string kind = text.substr(at, space - at), rest = text.substr(space + 1, end - space - 1);
      if (kind == "gpu") look.gpus.push_back(rest);
      if (kind == "found") look.found.push_back(rest);
      if (kind == "lacks") look.lacks.push_back(rest);
      if (kind == "trouble") look.trouble = rest;
    }
    at = end + 1;
  }
  return look;
}

std::string_view without(const std::string& name) {
  for (const Library& library : libraries)
    if (library.name == name) return library.without;
  return "a model cannot be spread over several GPUs";
}

}  // namespace

void check_gpus(Findings& findings) {
  const std::string driver = driver_version();
  const ChildEnd end = in_child(look_at_gpus, driver_patience);
  const Look look = parse_look(end.output);
  if (!end.good()) {
    const std::string how = end.in_time ? fmt::format("ends with {}", end.code) : "hangs";
    findings.warn("gpu", "looking for GPUs " + how, "see whether nvidia-smi works; --device cpu needs none");
    return;
  }
  const std::string found = look.found.empty() ? "" : fmt::format("; found {}", fmt::join(look.found, ", "));
  if (look.gpus.empty() && driver.empty()) return findings.ok("gpu", "none: no NVIDIA driver" + found);
  if (look.gpus.empty()) {
    findings.warn("gpu", fmt::format("{}; {}", driver, look.trouble),
                  "see whether nvidia-smi works; --device cpu needs none");
    return;
  }
  for (const std::string& gpu : look.gpus) findings.ok("gpu", gpu);
  findings.ok("gpu", (driver.empty() ? "driver of unknown version" : driver) + found);
  for (const std::string& name : look.lacks)
    findings.warn("gpu", fmt::format("no {}: {}", name, without(name)),
                  "install it, or add its folder to LD_LIBRARY_PATH");
}

void check_model(Findings& findings, const base::Path& path) {
  base::FileSystem& files = base::real_files();
  try {
    const model::ModelConfig config = model::read_config(files, path);
    const model::Checkpoint checkpoint(files, path);
    const std::int64_t bytes = checkpoint.bytes(), available = base::available_memory();
    const std::string text =
        fmt::format("{}, {} layers, {} of weights", config.architecture, config.layers, bytes_text(bytes));
    if (!files.exists(path / "tokenizer.json")) {
      findings.fail("model", path.string() + " has no tokenizer.json",
                    "save it there with Hugging Face's tokenizer.save_pretrained, fast tokenizer");
    } else if (bytes > available) {
      findings.warn("model", fmt::format("{}, {} of memory are available", text, bytes_text(available)),
                    "cut it over machines (thresher plan says how), or use a machine with more memory");
    } else {
      findings.ok("model", text);
    }
  } catch (const base::Error& error) {
    findings.fail("model", error.what(), "see 'thresher inspect " + path.string() + "'");
  }
}

}  // namespace thresher::app
