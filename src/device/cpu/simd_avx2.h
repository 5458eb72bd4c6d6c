// 8 lanes of f32. Included by the AVX2 kernel file only, inside its unnamed namespace.

struct Simd {
  static constexpr int lanes = 8;
  using Vec = __m256;
  struct Mask {
    __m256i lanes;
  };

  static Vec zero() { return _mm256_setzero_ps(); }
  static Vec all(float x) { return _mm256_set1_ps(x); }
  static __m256i index() { return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7); }
  static int clamp(std::int64_t n) { return n > 8 ? 8 : n < 0 ? 0 : static_cast<int>(n); }
  static Mask first(std::int64_t n) { return {_mm256_cmpgt_epi32(_mm256_set1_epi32(clamp(n)), index())}; }

  struct Full {};  // the mask of a whole vector

  static Vec load(const float* p, Full) { return load(p); }
  static Vec load(const Bf16* p, Full) { return load(p); }
  static void store(float* p, Vec x, Full) { store(p, x); }
  static void store(Bf16* p, Vec x, Full) { store(p, x); }
  static Vec load(const float* p) { return _mm256_loadu_ps(p); }
  static Vec load(const float* p, Mask m) { return _mm256_maskload_ps(p, m.lanes); }
  static void store(float* p, Vec x) { _mm256_storeu_ps(p, x); }
  static void store(float* p, Vec x, Mask m) { _mm256_maskstore_ps(p, m.lanes, x); }
  static Vec widen(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
  static Vec load(const Bf16* p) { return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static Vec load(const Bf16* p, Mask m) {
    alignas(16) Bf16 lane[8] = {};
    const int count = __builtin_popcount(bits(m));
    for (int i = 0; i < count; ++i) lane[i] = p[i];
    return load(lane);
  }
  // Round to nearest even, NaN stays NaN.
  static __m128i narrow(Vec x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    const __m256i both = _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(nan));
    const __m256i high = _mm256_srli_epi32(both, 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  }
  static void store(Bf16* p, Vec x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(x)); }
  static void store(Bf16* p, Vec x, Mask m) {
    alignas(16) Bf16 lane[8];
    _mm_store_si128(reinterpret_cast<__m128i*>(lane), narrow(x));
    const int count = __builtin_popcount(bits(m));
    for (int i = 0; i < count; ++i) p[i] = lane[i];
  }

  // Rounded to the nearest whole number, from -128 to 127, plus 128.
  static __m128i offset_bytes(Vec x) {
    const __m256i whole = _mm256_cvtps_epi32(x);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    return _mm_xor_si128(_mm_packs_epi16(words, words), _mm_set1_epi8(-128));
  }
  static void store_offset(std::uint8_t* p, Vec x, Full) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), offset_bytes(x));
  }
  static void store_offset(std::uint8_t* p, Vec x, Mask m) {
    alignas(16) std::uint8_t lane[16];
    _mm_store_si128(reinterpret_cast<__m128i*>(lane), offset_bytes(x));
    const int count = __builtin_popcount(bits(m));
    for (int i = 0; i < count; ++i) p[i] = lane[i];
  }

  using Ints = __m256i;
  static Ints no_ints() { return _mm256_setzero_si256(); }
  static Ints load_ints(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
  static Ints sub_ints(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
  static Vec to_float(Ints x) { return _mm256_cvtepi32_ps(x); }
  // The signed byte `index` of each word.
  static Ints byte_of(Ints words, int index) {
    return _mm256_srai_epi32(_mm256_sll_epi32(words, _mm_cvtsi32_si128(24 - 8 * index)), 24);
  }

  static Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
  static Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
  static Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
  static Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
  static Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
  static Vec fms(Vec a, Vec b, Vec c) { return _mm256_fmsub_ps(a, b, c); }  // a b - c
  static Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }              // b where either is NaN
  static Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
  static Vec round(Vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static Vec power(__m256i n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  // a 2^floor(n) for n in [-250, 250], in two halves, so that results below the normal range come out right.
  static Vec times_power_of_two(Vec a, Vec n) {
    const __m256i whole = _mm256_cvtps_epi32(_mm256_floor_ps(n));
    const __m256i half = _mm256_srai_epi32(whole, 1);
    return mul(mul(a, power(half)), power(_mm256_sub_epi32(whole, half)));
  }
  static Vec exponent(Vec t) { return max(all(-200.0f), t); }
  static Vec fraction(Vec t) { return sub(t, _mm256_floor_ps(t)); }
  static Vec reciprocal(Vec a) { return div(all(1.0f), a); }
  static Vec abs(Vec a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
  static Mask below(Vec a, Vec b) { return {_mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_LT_OQ))}; }
  static Mask not_below(Vec a, Vec b) { return {_mm256_castps_si256(_mm256_cmp_ps(a, b, _CMP_GE_OQ))}; }
  static Vec pick(Mask m, Vec yes, Vec no) { return _mm256_blendv_ps(no, yes, _mm256_castsi256_ps(m.lanes)); }
  static Mask both(Mask a, Mask b) { return {_mm256_and_si256(a.lanes, b.lanes)}; }
  static unsigned bits(Mask m) { return static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(m.lanes))); }
  static Mask range(std::int64_t low, std::int64_t high) {  // lanes [low, high)
    return {_mm256_andnot_si256(first(low).lanes, first(high).lanes)};
  }

  static float sum(Vec x) {
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
  }
  static float highest(Vec x) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
  }

  // to[w * stride + r] = word w of row r for 16 rows of `words` words; rows from `rows` on are zeros.
  static void turn(const void* from, std::int64_t row_bytes, std::int64_t rows, std::int64_t words, std::uint32_t* to,
                   std::int64_t stride) {
    for (std::int64_t w = 0; w < words; ++w)
      for (std::int64_t r = 0; r < 16; ++r) {
        std::uint32_t word = 0;
        if (r < rows) __builtin_memcpy(&word, static_cast<const char*>(from) + r * row_bytes + w * 4, 4);
        to[w * stride + r] = word;
      }
  }
};
