// Words of two bf16 numbers, for VDPBF16PS. Included inside an instruction set's unnamed namespace, after product.h.

struct WordBf16 : FloatSums {
  static constexpr std::int64_t numbers = 2;
  static Vec all(const std::uint32_t* p) { return _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(*p))); }
  static __m512bh pair(Vec x) { return reinterpret_cast<__m512bh>(x); }
  static Vec mac(Vec a, Vec b, Vec c) { return _mm512_dpbf16_ps(c, pair(a), pair(b)); }

  static void copy(const Bf16* from, std::uint32_t* to, std::int64_t columns) {
    __builtin_memcpy(to, from, static_cast<std::size_t>(columns) * sizeof(Bf16));
  }
  // to[d / 2][key] = numbers d and d + 1 of the key.
  static void pack_keys(const Bf16* from, std::int64_t stride, std::int64_t keys, std::int64_t head_size,
                        std::uint32_t* to) {
    for (std::int64_t k = 0; k < keys; k += 16)
      Simd::turn(from + k * stride, stride * 2, keys - k, head_size / 2, to + k, attend_keys);
  }
  // 16 numbers as bf16, one in each 32-bit lane.
  static __m512i words(const Bf16* from, Mask m) { return _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, from)); }
  static __m512i words(const float* from, Mask m) {
    return _mm512_cvtepu16_epi32(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(m, from))));
  }
  // to[key / 2][column] = the column's numbers of keys key and key + 1.
  template <class T>
  static void pack_values(const T* from, std::int64_t stride, std::int64_t keys, std::int64_t head_size,
                          std::int64_t width, std::uint32_t* to) {
    for (std::int64_t k = 0; k < keys; k += 2)
      for (std::int64_t c = 0; c < width; c += 16) {
        const Mask m = Simd::first(head_size - c < 0 ? 0 : head_size - c);
        const T* low = from + k * stride + c;
        const __m512i even = words(low, m), odd = words(low + stride, k + 1 < keys ? m : Mask(0));
        _mm512_storeu_si512(to + k / 2 * width + c, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
      }
  }
  static void store_weights(std::uint32_t* row, std::int64_t key, Vec x) {
    Simd::store(reinterpret_cast<Bf16*>(row) + key, x);
  }
};
