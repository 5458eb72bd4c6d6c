// Element types of tensors.
#pragma once

#include <cstdint>
#include <string_view>

namespace thresher::tensor {

// i8 is of quantised numbers: see quantised.h for activations, the device for weights.
enum class DType : std::uint8_t { f32, bf16, f16, i32, u8, i8 };

// Bytes of one element.
constexpr std::int64_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
    case DType::u8:
    case DType::i8:
      return 1;
  }
  return 0;
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f32";
    case DType::bf16:
      return "bf16";
    case DType::f16:
      return "f16";
    case DType::i32:
      return "i32";
    case DType::u8:
      return "u8";
    case DType::i8:
      return "int8";
  }
  return "?";
}

}  // namespace thresher::tensor
