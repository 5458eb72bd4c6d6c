// Four products of bytes at once: magnitudes times numbers that took the other's sign, 127 * 127 * 2 at most, which 16
// bits hold. Included inside an instruction set's unnamed namespace.

struct Dot {
  static constexpr bool offset = false;
  static constexpr std::int64_t numbers = 4;
  using Sum = __m512i;
  static Sum none() { return Simd::no_ints(); }
  static __m512i right(const std::uint32_t* w) { return Simd::load_ints(w); }
  struct Left {
    __m512i size;
    __mmask64 negative;
  };
  static Left all(const std::uint32_t* word) {
    const __m512i x = _mm512_set1_epi32(static_cast<int>(*word ^ 0x80808080u));
    return {_mm512_abs_epi8(x), _mm512_movepi8_mask(x)};
  }
  static __m512i mac(const Left& left, __m512i words, __m512i sums) {
    const __m512i turned = _mm512_mask_sub_epi8(words, left.negative, _mm512_setzero_si512(), words);
    const __m512i pairs = _mm512_maddubs_epi16(left.size, turned);
    return _mm512_add_epi32(sums, _mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
  }
};
