// Multiply-adds on registers, for the machine's peak. Included inside an instruction set's unnamed namespace.

template <class Word>
double burn(std::int64_t rounds) {
  constexpr int chains = 12;
  Vec acc[chains];
  for (int i = 0; i < chains; ++i) acc[i] = Simd::all(static_cast<float>(i));
  Vec a = Simd::all(0x1.fffffep-1f), b = Simd::all(0x1p-20f);
  for (std::int64_t n = 0; n < rounds; ++n) {
    for (int i = 0; i < chains; ++i) acc[i] = Word::mac(a, b, acc[i]);
    asm volatile("" : "+x"(a), "+x"(b));
  }
  Vec sum = Simd::zero();
  for (const Vec& x : acc) sum = Simd::add(sum, x);
  asm volatile("" : : "x"(sum));
  return 2.0 * Word::numbers * chains * lanes * static_cast<double>(rounds);
}
