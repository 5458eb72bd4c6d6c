// Rows quantised to bytes. Included inside an instruction set's unnamed namespace, after rows.h.

// Numbers of more than this times the mean magnitude of their piece are outliers. Of normal numbers none are; a piece's
// step is at most an eighth of the mean magnitude of its numbers over 16, unless too many are above.
constexpr float outlier_bound = 8;

// The greatest numbers of a piece, in falling magnitude, the first column before others.
struct Greatest {
  static constexpr int room = QuantisedPiece::most_outliers + 1;
  int count = 0;
  QuantisedPiece::Outlier list[room];

  float size(int i) const { return __builtin_fabsf(list[i].value); }
  void add(std::int32_t column, float value) {
    const float magnitude = __builtin_fabsf(value);
    if (count == room && magnitude <= size(room - 1)) return;
    int at = count < room ? count++ : room - 1;
    for (; at > 0 && size(at - 1) < magnitude; --at) list[at] = list[at - 1];
    list[at] = {column, value};
  }
};

// Sets the piece's outliers; the greatest magnitude of the others. Where even without them numbers are above the bound
// they are taken out only if that makes the step half as wide.
template <class Value>
inline float take_outliers(const Value& value, std::int64_t first, std::int64_t last, float bound,
                           QuantisedPiece& piece) {
  Greatest greatest;
  Vec below = Simd::zero();
  each_vector(first, last, [&](std::int64_t c, auto m) {
    const Vec x = value(c, m), size = Simd::abs(x);
    const Mask above = Simd::below(Simd::all(bound), size);
    below = Simd::max(Simd::pick(above, Simd::zero(), size), below);
    unsigned bits = Simd::bits(above);
    if (bits == 0) return;
    alignas(64) float lane[lanes];
    Simd::store(lane, x);
    for (; bits != 0; bits &= bits - 1) {
      const int i = __builtin_ctz(bits);
      greatest.add(static_cast<std::int32_t>(c) + i, lane[i]);
    }
  });
  constexpr int most = QuantisedPiece::most_outliers;
  if (greatest.count > most && greatest.size(most) * 2 > greatest.size(0)) return greatest.size(0);
  piece.outliers = greatest.count < most ? greatest.count : most;
  for (int i = 0; i < piece.outliers; ++i) {
    int at = i;
    for (; at > 0 && piece.outlier[at - 1].column > greatest.list[i].column; --at)
      piece.outlier[at] = piece.outlier[at - 1];
    piece.outlier[at] = greatest.list[i];
  }
  return greatest.count > most ? greatest.size(most) : Simd::highest(below);
}

// Columns [first, last) of a row; value(column, mask) gives a vector of its numbers, zeros where the mask has none.
template <class Value>
inline void quantise_piece(const Value& value, std::int64_t first, std::int64_t last, std::uint8_t* to,
                           QuantisedPiece& piece) {
  Vec highest = Simd::zero(), sum = Simd::zero();
  each_vector(first, last, [&](std::int64_t c, auto m) {
    const Vec size = Simd::abs(value(c, m));
    highest = Simd::max(size, highest);
    sum = Simd::add(sum, size);
  });
  const float total = Simd::sum(sum), bound = outlier_bound * total / static_cast<float>(last - first);
  piece.outliers = 0;
  if (!(total < __builtin_inff())) {
    piece.scale = __builtin_nanf("");
    __builtin_memset(to + first, 128, static_cast<std::size_t>(last - first));
    return;
  }
  float greatest = Simd::highest(highest);
  if (greatest > bound) greatest = take_outliers(value, first, last, bound, piece);
  const bool any = greatest > 1e-30f;  // what is smaller has no inverse
  piece.scale = any ? greatest / 127 : 0;
  const Vec inverse = Simd::all(any ? 127 / greatest : 0);
  each_vector(first, last,
              [&](std::int64_t c, auto m) { Simd::store_offset(to + c, Simd::mul(value(c, m), inverse), m); });
  for (int i = 0; i < piece.outliers; ++i) to[piece.outlier[i].column] = 128;
}

template <class Value>
inline void quantise_row(const Value& value, const QuantisedRows& out, std::int64_t first, std::int64_t behind,
                         std::int64_t r) {
  for (std::int64_t p = first; p < behind; ++p) {
    QuantisedPiece& piece = out.pieces[r * out.count + p];
    if (out.cuts[p] < out.cuts[p + 1]) {
      quantise_piece(value, out.cuts[p], out.cuts[p + 1], out.numbers + r * out.stride, piece);
    } else {
      piece.scale = 0;
      piece.outliers = 0;
    }
  }
}

void quantise(const Rows& x, const QuantisedRows& out, std::int64_t piece, std::int64_t behind, std::int64_t first,
              std::int64_t last) {
  for_types(x.bf16, false, [&]<class F, class T>(const F*, const T*) {
    for (std::int64_t r = first; r < last; ++r) {
      const F* from = row_of<const F>(x, r) - out.cuts[piece];
      quantise_row([&](std::int64_t c, auto m) { return Simd::load(from + c, m); }, out, piece, behind, r);
    }
  });
}

void norm_quantised(const Rows& x, const std::int32_t* rows, const float* gain, float epsilon, const QuantisedRows& out,
                    std::int64_t first, std::int64_t last) {
  for (std::int64_t r = first; r < last; ++r) {
    const float* from = row_of<const float>(x, rows ? rows[r] : r);
    const Vec factor = Simd::all(norm_factor(from, x.columns, epsilon));
    quantise_row([&](std::int64_t c,
                     auto m) { return Simd::mul(Simd::mul(Simd::load(from + c, m), factor), Simd::load(gain + c, m)); },
                 out, 0, out.count, r);
  }
}
