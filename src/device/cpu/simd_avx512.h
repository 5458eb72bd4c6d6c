// 16 lanes of f32. Included by the AVX-512 kernel files only, inside their unnamed namespace.

struct Simd {
  static constexpr int lanes = 16;
  using Vec = __m512;
  using Mask = __mmask16;

  static Vec zero() { return _mm512_setzero_ps(); }
  static Vec all(float x) { return _mm512_set1_ps(x); }
  static Mask first(std::int64_t n) { return n >= 16 ? Mask(0xffff) : Mask((1u << n) - 1); }

  struct Full {};  // the mask of a whole vector

  static Vec load(const float* p, Full) { return load(p); }
  static Vec load(const Bf16* p, Full) { return load(p); }
  static void store(float* p, Vec x, Full) { store(p, x); }
  static void store(Bf16* p, Vec x, Full) { store(p, x); }
  static Vec load(const float* p) { return _mm512_loadu_ps(p); }
  static Vec load(const float* p, Mask m) { return _mm512_maskz_loadu_ps(m, p); }
  static void store(float* p, Vec x) { _mm512_storeu_ps(p, x); }
  static void store(float* p, Vec x, Mask m) { _mm512_mask_storeu_ps(p, m, x); }
  static Vec widen(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
  static Vec load(const Bf16* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static Vec load(const Bf16* p, Mask m) { return widen(_mm256_maskz_loadu_epi16(m, p)); }
  // Rounds to nearest even; NaN stays NaN.
  static __m256i narrow(Vec x) {
#ifdef __AVX512BF16__
    return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
#else
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const Mask nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
#endif
  }
  static void store(Bf16* p, Vec x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(x));
  }
  static void store(Bf16* p, Vec x, Mask m) {
    _mm256_mask_storeu_epi16(p, m, narrow(x));
  }

  // Rounded to the nearest whole number, from -128 to 127, plus 128.
  static __m128i offset_bytes(Vec x) {
    return _mm_xor_si128(_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(x)), _mm_set1_epi8(-128));
  }
  static void store_offset(std::uint8_t* p, Vec x, Full) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), offset_bytes(x));
  }
  static void store_offset(std::uint8_t* p, Vec x, Mask m) {
    _mm_mask_storeu_epi8(p, m, offset_bytes(x));
  }

  using Ints = __m512i;
  static Ints no_ints() {
    return _mm512_setzero_si512();
  }
  static Ints load_ints(const void* p) {
    return _mm512_loadu_si512(p);
  }
  static Ints sub_ints(Ints a, Ints b) {
    return _mm512_sub_epi32(a, b);
  }
  static Vec to_float(Ints x) {
    return _mm512_cvtepi32_ps(x);
  }
  // The signed byte `index` of each word.
  static Ints byte_of(Ints words, int index) {
    return _mm512_srai_epi32(_mm512_sll_epi32(words, _mm_cvtsi32_si128(24 - 8 * index)), 24);
  }

  static Vec add(Vec a, Vec b) {
    return _mm512_add_ps(a, b);
  }
  static Vec sub(Vec a, Vec b) {
    return _mm512_sub_ps(a, b);
  }
  static Vec mul(Vec a, Vec b) {
    return _mm512_mul_ps(a, b);
  }
  static Vec div(Vec a, Vec b) {
    return _mm512_div_ps(a, b);
  }
  static Vec fma(Vec a, Vec b, Vec c) {
    return _mm512_fmadd_ps(a, b, c);
  }
  static Vec fms(Vec a, Vec b, Vec c) {
    return _mm512_fmsub_ps(a, b, c);
  }  // a b - c
  static Vec max(Vec a, Vec b) {
    return _mm512_max_ps(a, b);
  }  // b where either is NaN
  static Vec min(Vec a, Vec b) {
    return _mm512_min_ps(a, b);
  }
  static Vec round(Vec a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  }
  // a 2^floor(n).
  static Vec times_power_of_two(Vec a, Vec n) {
    return _mm512_scalef_ps(a, n);
  }
  static Vec exponent(Vec t) {
    return t;
  }
  // t - floor(t); 0 for -inf.
  static Vec fraction(Vec t) {
    return _mm512_reduce_ps(t, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
  // 1 / a to one unit in the last place.
  static Vec reciprocal(Vec a) {
    const Vec guess = _mm512_rcp14_ps(a);
    return mul(guess, _mm512_fnmadd_ps(a, guess, all(2.0f)));
  }
  static Vec abs(Vec a) {
    return _mm512_abs_ps(a);
  }
  static Mask below(Vec a, Vec b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
  }
  static Mask not_below(Vec a, Vec b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ);
  }
  static Vec pick(Mask m, Vec yes, Vec no) {
    return _mm512_mask_blend_ps(m, no, yes);
  }
  static Mask both(Mask a, Mask b) {
    return a & b;
  }
  static unsigned bits(Mask m) {
    return m;
  }
  static Mask range(std::int64_t low, std::int64_t high) {  // lanes [low, high)
    return Mask((high >= 16  ? 0xffffu
                 : high <= 0 ? 0u
                             : (1u << high) - 1) &
                ~(low >= 16  ? 0xffffu
                  : low <= 0 ? 0u
                             : (1u << low) - 1));
  }

  static float sum(Vec x) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
  }
  static float highest(Vec x) {
    return _mm512_reduce_max_ps(x);
  }

  // 16 rows of 16 words, turned over.
  static void transpose(__m512i (&row)[16]) {
    __m512i pair[16], quad[16];
    for (int i = 0; i < 16; i += 2) {
      pair[i] = _mm512_unpacklo_epi32(row[i], row[i + 1]);
      pair[i + 1] = _mm512_unpackhi_epi32(row[i], row[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
      quad[i] = _mm512_unpacklo_epi64(pair[i], pair[i + 2]);
      quad[i + 1] = _mm512_unpackhi_epi64(pair[i], pair[i + 2]);
      quad[i + 2] = _mm512_unpacklo_epi64(pair[i + 1], pair[i + 3]);
      quad[i + 3] = _mm512_unpackhi_epi64(pair[i + 1], pair[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {  // now by blocks of four
      const __m512i a = _mm512_shuffle_i32x4(quad[i], quad[4 + i], 0x88),
                    b = _mm512_shuffle_i32x4(quad[8 + i], quad[12 + i], 0x88);
      const __m512i c = _mm512_shuffle_i32x4(quad[i], quad[4 + i], 0xdd),
                    d = _mm512_shuffle_i32x4(quad[8 + i], quad[12 + i], 0xdd);
      row[i] = _mm512_shuffle_i32x4(a, b, 0x88);
      row[8 + i] = _mm512_shuffle_i32x4(a, b, 0xdd);
      row[4 + i] = _mm512_shuffle_i32x4(c, d, 0x88);
      row[12 + i] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
  }
  // to[w * stride + r] = word w of row r for 16 rows of `words` words; rows from `rows` on are zeros.
  static void turn(const void* from, std::int64_t row_bytes, std::int64_t rows, std::int64_t words, std::uint32_t* to,
                   std::int64_t stride) {
    for (std::int64_t w = 0; w < words; w += 16) {
      const Mask present = first(words - w);
      __m512i block[16];
      for (int r = 0; r < 16; ++r)
        block[r] = r < rows ? _mm512_maskz_loadu_epi32(present, static_cast<const char*>(from) + r * row_bytes + w * 4)
                            : _mm512_setzero_si512();
      transpose(block);
      for (int i = 0; i < 16 && w + i < words; ++i) _mm512_storeu_si512(to + (w + i) * stride, block[i]);
    }
  }
};
