// Products of small blocks, on 32-bit words: an f32 number, or a pair of bf16 numbers of neighbouring depth where the
// processor has a pairwise product. Every element is one chain of multiply-adds in rising depth, whatever block it
// falls into. Included inside an instruction set's unnamed namespace, after rows.h.

// C[rows x NV vectors] += A[rows x depth words] B[depth words x NV vectors].
template <class Word, int MR, int NV>
inline void product_block(const std::uint32_t* a, std::int64_t lda, const std::uint32_t* b, std::int64_t ldb, float* c,
                          std::int64_t ldc, std::int64_t depth, bool add) {
  Vec acc[MR][NV];
  for (int r = 0; r < MR; ++r)
    for (int v = 0; v < NV; ++v) acc[r][v] = add ? Simd::load(c + r * ldc + v * lanes) : Simd::zero();
  for (std::int64_t d = 0; d < depth; ++d) {
    Vec right[NV];
    for (int v = 0; v < NV; ++v) right[v] = Simd::load(reinterpret_cast<const float*>(b + d * ldb + v * lanes));
    for (int r = 0; r < MR; ++r) {
      const Vec left = Word::all(a + r * lda + d);
      for (int v = 0; v < NV; ++v) acc[r][v] = Word::mac(left, right[v], acc[r][v]);
    }
  }
  for (int r = 0; r < MR; ++r)
    for (int v = 0; v < NV; ++v) Simd::store(c + r * ldc + v * lanes, acc[r][v]);
}

constexpr int tile_rows = lanes == 16 ? 6 : 4;
constexpr int tile_vectors = lanes == 16 ? 4 : 2;

template <class Word, int MR>
inline void product_columns(const std::uint32_t* a, std::int64_t lda, const std::uint32_t* b, std::int64_t ldb,
                            float* c, std::int64_t ldc, std::int64_t depth, std::int64_t vectors, bool add) {
  std::int64_t v = 0;
  for (; v + tile_vectors <= vectors; v += tile_vectors)
    product_block<Word, MR, tile_vectors>(a, lda, b + v * lanes, ldb, c + v * lanes, ldc, depth, add);
  if constexpr (tile_vectors == 4) {
    if (v + 3 == vectors) return product_block<Word, MR, 3>(a, lda, b + v * lanes, ldb, c + v * lanes, ldc, depth, add);
    if (v + 2 <= vectors) {
      product_block<Word, MR, 2>(a, lda, b + v * lanes, ldb, c + v * lanes, ldc, depth, add);
      v += 2;
    }
  }
  if (v < vectors) product_block<Word, MR, 1>(a, lda, b + v * lanes, ldb, c + v * lanes, ldc, depth, add);
}

template <class Word>
void product_rows(std::int64_t rows, const std::uint32_t* a, std::int64_t lda, const std::uint32_t* b, std::int64_t ldb,
                  float* c, std::int64_t ldc, std::int64_t depth, std::int64_t vectors, bool add) {
  std::int64_t r = 0;
  for (; r + tile_rows <= rows; r += tile_rows)
    product_columns<Word, tile_rows>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, vectors, add);
  for (; r + 2 <= rows; r += 2)
    product_columns<Word, 2>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, vectors, add);
  if (r < rows) product_columns<Word, 1>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, vectors, add);
}

struct FloatSums {
  using Sum = Vec;
  static Vec none() { return Simd::zero(); }
  static Vec right(const std::uint32_t* w) { return Simd::load(reinterpret_cast<const float*>(w)); }
};

struct WordF32 : FloatSums {
  static constexpr std::int64_t numbers = 1;  // of the depth in one word
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
