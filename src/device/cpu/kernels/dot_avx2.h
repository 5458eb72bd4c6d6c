// As dot_avx512.h. Included inside an instruction set's unnamed namespace.

struct Dot {
  static constexpr bool offset = false;
  static constexpr std::int64_t numbers = 4;
  using Sum = __m256i;
  static Sum none() { return Simd::no_ints(); }
  static __m256i right(const std::uint32_t* w) { return Simd::load_ints(w); }
  struct Left {
    __m256i size, number;
  };
  static Left all(const std::uint32_t* word) {
    const __m256i x = _mm256_set1_epi32(static_cast<int>(*word ^ 0x80808080u));
    return {_mm256_abs_epi8(x), x};
  }
  static __m256i mac(const Left& left, __m256i words, __m256i sums) {
    const __m256i pairs = _mm256_maddubs_epi16(left.size, _mm256_sign_epi8(words, left.number));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};
