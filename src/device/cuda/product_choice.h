// Which algorithm a matrix product takes, and how that is said in the text of `Algorithms`. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace thresher::device::cuda {

enum class Epilogue : std::uint8_t { none, bias, accumulate };
enum class Number : std::uint8_t { f32, bf16 };

// A product out [rows, outputs] = x [rows, inputs] W^T, for any number of rows. All rows begin at multiples of 16
// bytes.
struct ProductKey {
  std::int64_t outputs = 0;
  std::int64_t inputs = 0;
  Number in = Number::f32;
  Number out = Number::f32;
  Epilogue epilogue = Epilogue::none;

  auto operator<=>(const ProductKey&) const = default;
};

// cublasLtMatmulAlgo_t, which only this version of cuBLASLt understands.
using Algorithm = std::array<std::uint64_t, 8>;

constexpr std::int64_t slab_rows = 1024;

struct Choice {
  Algorithm algorithm{};
  std::int64_t workspace = 0;  // bytes
  // Whether a row's bits were seen to depend on the number of rows: then all products are of `slab_rows` rows.
  bool slabs = false;

  bool operator==(const Choice&) const = default;
};

constexpr const char* products_section = "products";

// "1024 4096 bf16 f32 none": outputs, inputs, numbers in and out, epilogue.
std::string text_of(const ProductKey& key);
// Workspace, 1 for slabs, and the eight words of the algorithm in hexadecimal digits.
std::string text_of(const Choice& choice);
// None where the text is damaged.
std::optional<ProductKey> read_product_key(std::string_view text);
std::optional<Choice> read_product_choice(std::string_view text);

}  // namespace thresher::device::cuda
