// The algorithms chosen for products, as text: one rank's choice can be given to all, so that their bits agree. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <map>
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

// For one kind of GPU and one version of cuBLASLt, named by `machine` ("sm_90, 132 processors, cuBLASLt 130100").
class Algorithms {
 public:
  explicit Algorithms(std::string machine) : machine_(std::move(machine)) {}

  const std::string& machine() const { return machine_; }
  std::size_t size() const { return choices_.size(); }
  const Choice* find(const ProductKey& key) const;
  void add(const ProductKey& key, const Choice& choice) { choices_[key] = choice; }

  std::string text() const;
  // Takes over what `text` of the same machine says; false where it is another machine's, which changes nothing. Throws
  // base::Error (data) where it is damaged.
  bool merge(std::string_view text);

 private:
  std::string machine_;
  std::map<ProductKey, Choice> choices_;
};

}  // namespace thresher::device::cuda
