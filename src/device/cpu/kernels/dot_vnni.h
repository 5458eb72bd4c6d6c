// Four products of bytes at once, for VPDPBUSD. Included inside an instruction set's unnamed namespace.

struct Dot {
  static constexpr bool offset = true;
  static constexpr std::int64_t numbers = 4;
  using Sum = __m512i;
  static Sum none() { return Simd::no_ints(); }
  static __m512i right(const std::uint32_t* w) { return Simd::load_ints(w); }
  using Left = __m512i;
  static Left all(const std::uint32_t* word) { return _mm512_set1_epi32(static_cast<int>(*word)); }
  static __m512i mac(Left left, __m512i words, __m512i sums) { return _mm512_dpbusd_epi32(sums, left, words); }
};
