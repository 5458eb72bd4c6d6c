// As dot_avx512.h. Included inside an instruction set's unnamed namespace.

struct Dot {
  static constexpr bool offset = false;
  struct Left {
    __m256i size, number;
  };
  static Left left(std::uint32_t word) {
    const __m256i x = _mm256_set1_epi32(static_cast<int>(word ^ 0x80808080u));
    return {_mm256_abs_epi8(x), x};
  }
  static __m256i add(__m256i sums, const Left& left, __m256i words) {
    const __m256i pairs = _mm256_maddubs_epi16(left.size, _mm256_sign_epi8(words, left.number));
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};
