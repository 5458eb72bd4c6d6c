#include "device/cuda/cudnn/backend.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "thresher/base/check.h"

namespace thresher::device::cuda::cudnn {
namespace {

constexpr const char* library_name = "libcudnn_graph.so.9";

// cuDNN finds its other parts by its own folder.
void* open(std::string& trouble) {
  void* found = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
  if (!found) trouble = dlerror();
  const char* given = std::getenv("CUDA_PATH");
  const std::filesystem::path folder = given ? given : "/usr/local/cuda";
  for (const char* place : {"lib64", "lib"})
    if (!found) found = dlopen((folder / place / library_name).c_str(), RTLD_NOW | RTLD_LOCAL);
  return found;
}

template <class Function>
bool find(void* file, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(file, name));
  return function != nullptr;
}

Library load() {
  Library loaded;
  void* file = open(loaded.trouble);
  if (!file) return loaded;
  static Functions f;
  const bool whole = find(file, "cudnnGetVersion", f.version) && find(file, "cudnnGetErrorString", f.error_string) &&
                     find(file, "cudnnGetLastErrorString", f.last_error) && find(file, "cudnnCreate", f.create) &&
                     find(file, "cudnnDestroy", f.destroy) && find(file, "cudnnSetStream", f.set_stream) &&
                     find(file, "cudnnBackendCreateDescriptor", f.create_descriptor) &&
                     find(file, "cudnnBackendDestroyDescriptor", f.destroy_descriptor) &&
                     find(file, "cudnnBackendSetAttribute", f.set_attribute) &&
                     find(file, "cudnnBackendGetAttribute", f.read_attribute) &&
                     find(file, "cudnnBackendFinalize", f.finalize) && find(file, "cudnnBackendExecute", f.execute);
  if (!whole) {
    loaded.trouble = fmt::format("{} lacks a function: {}", library_name, dlerror());
  } else if (f.version() < least_version) {
    loaded.trouble =
        fmt::format("cuDNN is {}, at least {} is needed", version_text(f.version()), version_text(least_version));
  } else {
    loaded.functions = &f;
  }
  return loaded;
}

}  // namespace

const Library& library() {
  static const Library loaded = load();
  return loaded;
}

const Functions& functions() {
  const Library& loaded = library();
  if (!loaded.functions) base::fail(base::Exit::unavailable, loaded.trouble, std::source_location());
  return *loaded.functions;
}

std::string version_text(std::size_t version) {
  return fmt::format("{}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

std::string last_error() {
  std::array<char, 1024> message{};
  functions().last_error(message.data(), message.size());
  std::string text = message.data();
  for (char& c : text)
    if (c == '\n') c = ' ';
  return text;
}

void check(cudnnStatus_t status, const char* doing) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  base::fail(base::Exit::os, fmt::format("cuDNN failed at {}: {} (status {}): {}", doing,
                                         functions().error_string(status), static_cast<int>(status), last_error()));
}

void destroy_descriptor(cudnnBackendDescriptor_t descriptor) {
  static_cast<void>(functions().destroy_descriptor(descriptor));
}

void destroy_context(cudnnHandle_t context) {
  static_cast<void>(functions().destroy(context));
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t kind) {
  cudnnBackendDescriptor_t made = nullptr;
  check(functions().create_descriptor(kind, &made), "making a descriptor");
  handle_ = decltype(handle_)(made);
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& other) {
  const cudnnBackendDescriptor_t raw = other.raw();
  return set_many(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
}

Descriptor& Descriptor::set(cudnnBackendAttributeName_t name, std::span<const Descriptor> others) {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& other : others) raw.push_back(other.raw());
  return set_many(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<std::int64_t>(raw.size()), raw.data());
}

std::int64_t Descriptor::count(cudnnBackendAttributeName_t name) const {
  return read_many(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, nullptr);
}

std::vector<Descriptor> Descriptor::descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t kind,
                                                std::int64_t most) const {
  std::vector<Descriptor> found;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < most; ++i) raw.push_back(found.emplace_back(kind).raw());
  const std::int64_t held = read_many(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, most, raw.data());
  found.erase(found.begin() + std::min(held, most), found.end());
  return found;
}

Descriptor& Descriptor::finish(const char* doing) {
  check(try_finish(), doing);
  return *this;
}

cudnnStatus_t Descriptor::try_finish() {
  return functions().finalize(raw());
}

Descriptor& Descriptor::set_many(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                                 const void* values) {
  check(functions().set_attribute(raw(), name, type, count, values),
        fmt::format("setting attribute {}", static_cast<int>(name)).c_str());
  return *this;
}

std::int64_t Descriptor::read_many(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                   std::int64_t most, void* values) const {
  std::int64_t held = 0;
  check(functions().read_attribute(raw(), name, type, most, &held, values),
        fmt::format("reading attribute {}", static_cast<int>(name)).c_str());
  return held;
}

}  // namespace thresher::device::cuda::cudnn
