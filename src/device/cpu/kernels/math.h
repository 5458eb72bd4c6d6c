// Elementary functions on vectors. Included inside an instruction set's unnamed namespace, after Simd.

using Vec = Simd::Vec;
using Mask = Simd::Mask;
using Full = Simd::Full;
constexpr int lanes = Simd::lanes;

// 2^t for t at most 127; 2^-inf is 0, NaN stays NaN. A polynomial of the fraction, coefficients by reweighted least
// squares of the relative error on [0, 1): at most 7.5e-8, and 1.5e-7 with its rounding.
inline Vec exp2_of(Vec t) {
  t = Simd::exponent(t);
  const Vec f = Simd::fraction(t);
  Vec p = Simd::all(0x1.ec31fep-10f);
  p = Simd::fma(p, f, Simd::all(0x1.269010p-7f));
  p = Simd::fma(p, f, Simd::all(0x1.c95446p-5f));
  p = Simd::fma(p, f, Simd::all(0x1.ebd5a8p-3f));
  p = Simd::fma(p, f, Simd::all(0x1.62e4f6p-1f));
  p = Simd::fma(p, f, Simd::all(0x1.fffffep-1f));
  return Simd::times_power_of_two(p, t);
}

// e^x to a unit in the last place; at most e^88.7, no less than e^-103. NaN stays NaN.
inline Vec exp_of(Vec x) {
  x = Simd::min(Simd::all(88.7f), Simd::max(Simd::all(-103.0f), x));
  const Vec n = Simd::round(Simd::mul(x, Simd::all(log2_e)));
  Vec r = Simd::fma(n, Simd::all(-0x1.62e400p-1f), x);  // ln 2 in two parts
  r = Simd::fma(n, Simd::all(-0x1.7f7d1cp-20f), r);
  const Vec f = Simd::mul(r, Simd::all(log2_e));
  Vec p = Simd::all(0x1.41d32ep-13f);
  p = Simd::fma(p, f, Simd::all(0x1.5f456ap-10f));
  p = Simd::fma(p, f, Simd::all(0x1.3b2dbcp-7f));
  p = Simd::fma(p, f, Simd::all(0x1.c6aed4p-5f));
  p = Simd::fma(p, f, Simd::all(0x1.ebfbdap-3f));
  p = Simd::fma(p, f, Simd::all(0x1.62e430p-1f));
  p = Simd::fma(p, f, Simd::all(1.0f));
  return Simd::times_power_of_two(p, n);
}

inline Vec silu(Vec x) {
  return Simd::mul(x, Simd::reciprocal(Simd::add(Simd::all(1.0f), exp_of(Simd::sub(Simd::zero(), x)))));
}

// x Phi(x) = x erfc(-x / sqrt 2) / 2 with erfc's Chebyshev fit of Press et al., Numerical Recipes, section 6.2 (erfcc):
// relative error below 1.2e-7 everywhere.
inline Vec gelu(Vec x) {
  const Vec z = Simd::mul(Simd::abs(x), Simd::all(0x1.6a09e6p-1f));
  const Vec t = Simd::reciprocal(Simd::fma(z, Simd::all(0.5f), Simd::all(1.0f)));
  Vec p = Simd::all(0.17087277f);
  p = Simd::fma(p, t, Simd::all(-0.82215223f));
  p = Simd::fma(p, t, Simd::all(1.48851587f));
  p = Simd::fma(p, t, Simd::all(-1.13520398f));
  p = Simd::fma(p, t, Simd::all(0.27886807f));
  p = Simd::fma(p, t, Simd::all(-0.18628806f));
  p = Simd::fma(p, t, Simd::all(0.09678418f));
  p = Simd::fma(p, t, Simd::all(0.37409196f));
  p = Simd::fma(p, t, Simd::all(1.00002368f));
  p = Simd::fma(p, t, Simd::all(-1.26551223f));
  const Vec tail = Simd::mul(Simd::mul(t, Simd::all(0.5f)), exp_of(Simd::sub(p, Simd::mul(z, z))));  // Phi(-|x|)
  const Vec phi = Simd::pick(Simd::below(x, Simd::zero()), tail, Simd::sub(Simd::all(1.0f), tail));
  return Simd::mul(x, phi);
}

// x (1 + tanh u) / 2 = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3). (Hendrycks and Gimpel 2016.)
inline Vec gelu_tanh(Vec x) {
  const Vec cube = Simd::mul(Simd::mul(x, x), x);
  const Vec u = Simd::mul(Simd::fma(cube, Simd::all(0.044715f), x), Simd::all(-2.0f * 0.7978845608028654f));
  return Simd::mul(x, Simd::reciprocal(Simd::add(Simd::all(1.0f), exp_of(u))));
}
