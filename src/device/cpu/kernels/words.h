// Products of small blocks of words: an f32 number, a pair of bf16 or four bytes of neighbouring depth to a word.
// Included inside an instruction set's unnamed namespace, after loops.h. A struct of words tells
//   numbers              of the depth in one word
//   Sum none()           of a vector's lanes
//   Sum right(w)         a vector of words
//   left = all(word)     a word of a row for all lanes
//   Sum mac(left, right, sums)

// body<0>(), body<1>(), ...: arrays that only constants index are registers from the first pass of the compiler on.
template <int count, int at = 0, class Body>
[[gnu::always_inline]] inline void unrolled(const Body& body) {
  if constexpr (at < count) {
    body.template operator()<at>();
    unrolled<count, at + 1>(body);
  }
}

// The products of `depth` words of MR rows with NV vectors of w [depth][w_words], added to begin.get<r, v>(): each
// element is one chain in rising depth. They go to end.take<r, v>(sum). Never inlined: among other code the compiler
// does not keep the sums in registers.
template <class Word, int MR, int NV, class Begin, class End>
[[gnu::noinline]] void multiply_words(const void* x, std::int64_t x_bytes, const std::uint32_t* w, std::int64_t w_words,
                                      std::int64_t depth, const Begin& begin, const End& end) {
  const char* left_at = static_cast<const char*>(x);
  typename Word::Sum sum[MR * NV];
  unrolled<MR * NV>([&]<int i>() __attribute__((always_inline)) { sum[i] = begin.template get<i / NV, i % NV>(); });
  for (std::int64_t d = 0; d < depth; ++d, left_at += 4, w += w_words) {
    typename Word::Sum right[NV];
    unrolled<NV>([&]<int v>() __attribute__((always_inline)) { right[v] = Word::right(w + v * lanes); });
    unrolled<MR>([&]<int r>() __attribute__((always_inline)) {
      std::uint32_t word;
      __builtin_memcpy(&word, left_at + r * x_bytes, 4);
      const auto left = Word::all(&word);
      unrolled<NV>([&]<int v>() __attribute__((always_inline)) {
        sum[r * NV + v] = Word::mac(left, right[v], sum[r * NV + v]);
      });
    });
  }
  unrolled<MR * NV>([&]<int i>() __attribute__((always_inline)) { end.template take<i / NV, i % NV>(sum[i]); });
}

template <class Word>
struct NoSums {
  template <int r, int v>
  [[gnu::always_inline]] typename Word::Sum get() const {
    return Word::none();
  }
};

template <class Word, int MR, int NV>
struct KeepSums {
  typename Word::Sum* sums;
  template <int r, int v>
  [[gnu::always_inline]] typename Word::Sum get() const {
    return sums[r * NV + v];
  }
  template <int r, int v>
  [[gnu::always_inline]] void take(typename Word::Sum sum) const {
    sums[r * NV + v] = sum;
  }
};

// The products of rows of `inputs` numbers, which need not be whole words, with NV vectors of a slab.
template <class Word, int MR, int NV, class End>
inline void slab_sums(const void* x, std::int64_t x_bytes, const std::uint32_t* w, std::int64_t inputs,
                      const End& end) {
  const std::int64_t whole = inputs / Word::numbers, rest = inputs % Word::numbers;
  if (rest == 0) return multiply_words<Word, MR, NV>(x, x_bytes, w, slab_columns, whole, NoSums<Word>{}, end);
  typename Word::Sum sums[MR * NV];
  const KeepSums<Word, MR, NV> kept{sums};
  multiply_words<Word, MR, NV>(x, x_bytes, w, slab_columns, whole, NoSums<Word>{}, kept);
  std::uint32_t words[MR] = {};
  for (int r = 0; r < MR; ++r)
    __builtin_memcpy(words + r, static_cast<const char*>(x) + r * x_bytes + whole * 4,
                     static_cast<std::size_t>(rest * 4 / Word::numbers));
  multiply_words<Word, MR, NV>(words, 4, w + whole * slab_columns, slab_columns, 1, kept, end);
}

template <class To, class M>
inline void store_product(Vec value, const float* bias, bool accumulate, To* to, M m) {
  if (bias) value = Simd::add(value, Simd::load(bias, m));
  if (accumulate) value = Simd::add(value, Simd::load(to, m));
  Simd::store(to, value, m);
}
