// cuDNN's backend interface: its functions, found when first asked for, and an owner of its descriptors. Programs link
// with no part of cuDNN.
#pragma once

#include <cudnn_graph.h>

#include <cstdint>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "thresher/base/handle.h"

namespace thresher::device::cuda::cudnn {

// Earlier ones have no attention over packed sequences on sm_80.
constexpr std::size_t least_version = 91800;

struct Functions {
  decltype(&cudnnGetVersion) version;
  decltype(&cudnnGetErrorString) error_string;
  decltype(&cudnnGetLastErrorString) last_error;
  decltype(&cudnnCreate) create;
  decltype(&cudnnDestroy) destroy;
  decltype(&cudnnSetStream) set_stream;
  decltype(&cudnnBackendCreateDescriptor) create_descriptor;
  decltype(&cudnnBackendDestroyDescriptor) destroy_descriptor;
  decltype(&cudnnBackendSetAttribute) set_attribute;
  decltype(&cudnnBackendGetAttribute) read_attribute;
  decltype(&cudnnBackendFinalize) finalize;
  decltype(&cudnnBackendExecute) execute;
};

// Where there is no cuDNN of at least that version, `functions` is null and `trouble` says why.
struct Library {
  const Functions* functions = nullptr;
  std::string trouble;
};

// libcudnn_graph.so.9 from the loader's folders or CUDA's; loaded on the first call and kept.
const Library& library();
// Throws base::Error (unavailable) where there are none.
const Functions& functions();
// "9.19.0"
std::string version_text(std::size_t version);

// Throws base::Error (os) unless the status says success; `doing` is what was tried.
void check(cudnnStatus_t status, const char* doing);
// What cuDNN says about its last error, in one line.
std::string last_error();

void destroy_descriptor(cudnnBackendDescriptor_t descriptor);
void destroy_context(cudnnHandle_t context);
using ContextHandle = base::Handle<cudnnHandle_t, destroy_context>;

template <class T>
consteval cudnnBackendAttributeType_t attribute_type() {
  if constexpr (std::is_same_v<T, std::int64_t>) return CUDNN_TYPE_INT64;
  if constexpr (std::is_same_v<T, std::int32_t>) return CUDNN_TYPE_INT32;
  if constexpr (std::is_same_v<T, float>) return CUDNN_TYPE_FLOAT;
  if constexpr (std::is_same_v<T, double>) return CUDNN_TYPE_DOUBLE;
  if constexpr (std::is_same_v<T, bool>) return CUDNN_TYPE_BOOLEAN;
  if constexpr (std::is_same_v<T, char>) return CUDNN_TYPE_CHAR;
  if constexpr (std::is_same_v<T, cudnnDataType_t>) return CUDNN_TYPE_DATA_TYPE;
  if constexpr (std::is_same_v<T, cudnnPointwiseMode_t>) return CUDNN_TYPE_POINTWISE_MODE;
  if constexpr (std::is_same_v<T, cudnnReduceTensorOp_t>) return CUDNN_TYPE_REDUCTION_OPERATOR_TYPE;
  if constexpr (std::is_same_v<T, cudnnBackendHeurMode_t>) return CUDNN_TYPE_HEUR_MODE;
  if constexpr (std::is_same_v<T, cudnnBackendKnobType_t>) return CUDNN_TYPE_KNOB_TYPE;
  if constexpr (std::is_same_v<T, cudnnHandle_t>) return CUDNN_TYPE_HANDLE;
  if constexpr (std::is_same_v<T, cudnnBackendNumericalNote_t>) return CUDNN_TYPE_NUMERICAL_NOTE;
  if constexpr (std::is_same_v<T, void*>) return CUDNN_TYPE_VOID_PTR;
}

class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t kind);

  cudnnBackendDescriptor_t raw() const { return handle_.raw(); }

  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const T& value) {
    return set_many(name, attribute_type<T>(), 1, &value);
  }
  template <class T>
  Descriptor& set(cudnnBackendAttributeName_t name, const std::vector<T>& values) {
    return set_many(name, attribute_type<T>(), static_cast<std::int64_t>(values.size()), values.data());
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& other);
  Descriptor& set(cudnnBackendAttributeName_t name, std::span<const Descriptor> others);

  template <class T>
  T value(cudnnBackendAttributeName_t name) const {
    T value{};
    read_many(name, attribute_type<T>(), 1, &value);
    return value;
  }
  std::int64_t count(cudnnBackendAttributeName_t name) const;
  // Of `most` descriptors of a kind, as many as the attribute holds.
  std::vector<Descriptor> descriptors(cudnnBackendAttributeName_t name, cudnnBackendDescriptorType_t kind,
                                      std::int64_t most) const;

  // Complete from here on. `try_finish` leaves it to the caller to judge.
  Descriptor& finish(const char* doing);
  cudnnStatus_t try_finish();

 private:
  Descriptor& set_many(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                       const void* values);
  std::int64_t read_many(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t most,
                         void* values) const;

  base::Handle<cudnnBackendDescriptor_t, destroy_descriptor> handle_;
};

}  // namespace thresher::device::cuda::cudnn
