// f32 numbers as words, and products of small blocks into f32. Included inside an instruction set's unnamed namespace,
// after rows.h and words.h.

struct FloatSums {
  using Sum = Vec;
  static Vec none() { return Simd::zero(); }
  static Vec right(const std::uint32_t* w) { return Simd::load(reinterpret_cast<const float*>(w)); }
};

struct WordF32 : FloatSums {
  static constexpr std::int64_t numbers = 1;
  static Vec all(const std::uint32_t* p) { return Simd::all(*reinterpret_cast<const float*>(p)); }
  static Vec mac(Vec a, Vec b, Vec c) { return Simd::fma(a, b, c); }

  // One row as words.
  template <class T>
  static void copy(const T* from, std::uint32_t* to, std::int64_t columns) {
    map_row(from, reinterpret_cast<float*>(to), columns, [](Vec x, std::int64_t, auto) { return x; });
  }
  // to[d][key] for `keys` keys, in groups of 16; keys of the last group that are not there become zeros.
  static void pack_keys(const float* from, std::int64_t stride, std::int64_t keys, std::int64_t head_size,
                        std::uint32_t* to) {
    for (std::int64_t k = 0; k < keys; k += 16)
      Simd::turn(from + k * stride, stride * 4, keys - k, head_size, to + k, attend_keys);
  }
  static void pack_keys(const Bf16* from, std::int64_t stride, std::int64_t keys, std::int64_t head_size,
                        std::uint32_t* to) {
    alignas(64) float wide[16 * attend_head_size];
    for (std::int64_t k = 0; k < keys; k += 16) {
      const std::int64_t count = keys - k < 16 ? keys - k : 16;
      for (std::int64_t i = 0; i < count; ++i)
        map_row(from + (k + i) * stride, wide + i * head_size, head_size, [](Vec x, std::int64_t, auto) { return x; });
      Simd::turn(wide, head_size * 4, count, head_size, to + k, attend_keys);
    }
  }
  // to[key][column], columns padded with zeros to `width`.
  template <class T>
  static void pack_values(const T* from, std::int64_t stride, std::int64_t keys, std::int64_t head_size,
                          std::int64_t width, std::uint32_t* to) {
    for (std::int64_t k = 0; k < keys; ++k) {
      float* line = reinterpret_cast<float*>(to + k * width);
      map_row(from + k * stride, line, head_size, [](Vec x, std::int64_t, auto) { return x; });
      for (std::int64_t c = head_size; c < width; ++c) line[c] = 0;
    }
  }
  static void store_weights(std::uint32_t* row, std::int64_t key, Vec x) {
    Simd::store(reinterpret_cast<float*>(row) + key, x);
  }
};

constexpr int tile_rows = 6;
constexpr int tile_vectors = lanes == 16 ? 4 : 2;

// A block of f32 in memory.
struct Block {
  float* at;
  std::int64_t stride;
  template <int r, int v>
  [[gnu::always_inline]] Vec get() const {
    return Simd::load(at + r * stride + v * lanes);
  }
  template <int r, int v>
  [[gnu::always_inline]] void take(Vec sum) const {
    Simd::store(at + r * stride + v * lanes, sum);
  }
};

// C[MR rows x vectors] (+)= A[MR x depth words] B[depth words x vectors].
template <class Word, int MR, bool add>
inline void product_columns(const std::uint32_t* a, std::int64_t a_words, const std::uint32_t* b, std::int64_t b_words,
                            const Block& c, std::int64_t depth, std::int64_t vectors) {
  std::int64_t v = 0;
  const auto columns = [&]<int NV>() {
    const Block to{c.at + v * lanes, c.stride};
    if constexpr (add) {
      multiply_words<Word, MR, NV>(a, a_words * 4, b + v * lanes, b_words, depth, to, to);
    } else {
      multiply_words<Word, MR, NV>(a, a_words * 4, b + v * lanes, b_words, depth, NoSums<Word>{}, to);
    }
    v += NV;
  };
  while (v + tile_vectors <= vectors) columns.template operator()<tile_vectors>();
  if constexpr (tile_vectors == 4) {
    if (v + 3 == vectors) return columns.template operator()<3>();
    if (v + 2 == vectors) return columns.template operator()<2>();
  }
  if (v < vectors) columns.template operator()<1>();
}
