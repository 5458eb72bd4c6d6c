// Four products of bytes at once, for VPDPBUSD. Included inside an instruction set's unnamed namespace.

struct Dot {
  static constexpr bool offset = true;
  using Left = __m512i;
  static Left left(std::uint32_t word) { return _mm512_set1_epi32(static_cast<int>(word)); }
  static __m512i add(__m512i sums, Left left, __m512i words) { return _mm512_dpbusd_epi32(sums, left, words); }
};
