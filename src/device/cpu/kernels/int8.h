// Products of bytes. Sums in 32 bits are exact, so no order of them shows in the results; what follows is f32 in an
// order that is each element's own. Included inside an instruction set's unnamed namespace, after words.h and a struct
// Dot of such words:
//   Ints mac(left, right, sums)          sums + the four products of each lane, exactly
//   bool offset                          whether those are of the bytes as they are, 128 too great

constexpr int int8_rows = lanes == 16 ? 6 : 4;
constexpr int int8_vectors = lanes == 16 ? 4 : 2;
constexpr int int8_columns = int8_vectors * lanes;
// Partial sums alive at once in the tree of eight pieces, walked depth first.
constexpr int live_sums = 4;

// value += the outliers' products with the weight's bytes, w being the piece's first word in these columns.
[[gnu::always_inline]] inline void add_outliers(const QuantisedPiece& piece, std::int64_t first, const std::uint32_t* w,
                                                Vec (&value)[int8_vectors]) {
  for (int i = 0; i < piece.outliers; ++i) {
    const std::int64_t k = piece.outlier[i].column - first;
    const std::uint32_t* words = w + k / 4 * slab_columns;
    const Vec number = Simd::all(piece.outlier[i].value);
    unrolled<int8_vectors>([&]<int v>() __attribute__((always_inline)) {
      const auto byte = Simd::byte_of(Simd::load_ints(words + v * lanes), static_cast<int>(k % 4));
      value[v] = Simd::fma(number, Simd::to_float(byte), value[v]);
    });
  }
}

// A block's sums of one piece, as real numbers; with `add` they are added to what is there.
template <class Dot, int MR>
inline void int8_piece(const Int8Args& args, std::int64_t index, std::int64_t row, std::int64_t column, bool add,
                       float (*to)[int8_columns]) {
  constexpr int NV = int8_vectors;
  const Int8Piece& piece = args.pieces[index];
  const std::int64_t depth = (piece.inputs + 3) / 4;
  const std::uint32_t* w = piece.slabs + column / slab_columns * depth * slab_columns + column % slab_columns;
  const std::uint8_t* x = args.x.numbers + row * args.x.stride + piece.first;
  const QuantisedPiece* quantised = args.x.pieces + row * args.x.count + index;
  Simd::Ints sums[MR * NV];
  slab_sums<Dot, MR, NV>(x, args.x.stride, w, piece.inputs, KeepSums<Dot, MR, NV>{sums});
  const float* scales = piece.scales + column;
  for (int r = 0; r < MR; ++r) {
    const QuantisedPiece& one = quantised[r * args.x.count];
    const Vec scale = Simd::all(one.scale);
    Vec value[NV];
    unrolled<NV>([&]<int v>() __attribute__((always_inline)) {
      Simd::Ints exact = sums[r * NV + v];
      if (Dot::offset) exact = Simd::sub_ints(exact, Simd::load_ints(piece.sums + column + v * lanes));
      value[v] = Simd::mul(Simd::to_float(exact), scale);
    });
    add_outliers(one, piece.first, w, value);
    unrolled<NV>([&]<int v>() __attribute__((always_inline)) {
      value[v] = Simd::mul(value[v], Simd::load(scales + v * lanes));
      if (add) value[v] = Simd::add(Simd::load(to[r] + v * lanes), value[v]);
      Simd::store(to[r] + v * lanes, value[v]);
    });
  }
}

template <int MR, class To>
inline void int8_finish(const Int8Args& args, std::int64_t row, std::int64_t column, const float (*sums)[int8_columns],
                        const To*) {
  const std::int64_t left = args.column + args.columns - column;
  const float* bias = args.bias ? args.bias + column : nullptr;
  for (int r = 0; r < MR; ++r) {
    To* to = row_of<To>(args.out, row + r) + column;
    if (left >= int8_columns) {
      unrolled<int8_vectors>([&]<int v>() __attribute__((always_inline)) {
        store_product(Simd::load(sums[r] + v * lanes), bias ? bias + v * lanes : nullptr, args.accumulate,
                      to + v * lanes, Full{});
      });
    } else {
      each_vector(0, left, [&](std::int64_t c, auto m) {
        store_product(Simd::load(sums[r] + c, m), bias ? bias + c : nullptr, args.accumulate, to + c, m);
      });
    }
  }
}

template <class Dot, int MR>
inline void int8_block(const Int8Args& args, std::int64_t row, std::int64_t column) {
  // Comes from memory while there are products to compute.
  const std::int64_t out_size = args.out.bf16 ? 2 : 4;
  for (int r = 0; r < MR; ++r)
    prefetch<1>(static_cast<const char*>(args.out.data) + ((row + r) * args.out.stride + column) * out_size,
                int8_columns * out_size);
  alignas(64) float live[live_sums][MR][int8_columns];
  int alive = 0;
  for (std::int64_t p = 0; p < args.x.count; ++p) {
    // Piece p joins as many partial sums as its number ends in ones.
    int joined = __builtin_ctzll(~static_cast<unsigned long long>(p));
    if (args.pieces[p].inputs > 0) {
      const bool add = joined > 0;
      if (add) --joined, --alive;
      int8_piece<Dot, MR>(args, p, row, column, add, live[alive]);
    } else {
      __builtin_memset(live[alive], 0, sizeof(live[alive]));
    }
    for (; joined > 0; --joined, --alive)
      for (int i = 0; i < MR * int8_columns; i += lanes) {
        float* onto = live[alive - 1][0] + i;
        Simd::store(onto, Simd::add(Simd::load(onto), Simd::load(live[alive][0] + i)));
      }
    ++alive;
  }
  if (args.out.bf16) {
    int8_finish<MR>(args, row, column, live[0], static_cast<const Bf16*>(nullptr));
  } else {
    int8_finish<MR>(args, row, column, live[0], static_cast<const float*>(nullptr));
  }
}

// A slab stays in the second cache for all rows.
template <class Dot>
void multiply_int8(const Int8Args& args) {
  const std::int64_t end = args.column + args.columns, last = args.row + args.rows;
  for (std::int64_t slab = args.column; slab < end; slab += slab_columns) {
    const std::int64_t behind = slab + slab_columns < end ? slab + slab_columns : end;
    std::int64_t r = args.row;
    const auto rows = [&]<int MR>() {
      for (std::int64_t c = slab; c < behind; c += int8_columns) int8_block<Dot, MR>(args, r, c);
      r += MR;
    };
    while (r + int8_rows <= last) rows.template operator()<int8_rows>();
    if (r + 4 <= last) rows.template operator()<4>();
    while (r + 2 <= last) rows.template operator()<2>();
    if (r < last) rows.template operator()<1>();
  }
}

template <class Dot>
double burn_int8(std::int64_t rounds) {
  constexpr int chains = 12;
  typename Simd::Ints sum[chains];
  unrolled<chains>([&]<int i>() __attribute__((always_inline)) { sum[i] = Simd::no_ints(); });
  alignas(64) std::uint32_t words[lanes] = {};
  auto right = Simd::load_ints(words);
  decltype(Dot::all(nullptr)) left[chains];  // each another, or one product would do for all
  unrolled<chains>([&]<int i>() __attribute__((always_inline)) {
    const std::uint32_t word = 0x81838587u + i;
    left[i] = Dot::all(&word);
  });
  for (std::int64_t n = 0; n < rounds; ++n) {
    unrolled<chains>([&]<int i>() __attribute__((always_inline)) { sum[i] = Dot::mac(left[i], right, sum[i]); });
    asm volatile("" : "+x"(right));
  }
  unrolled<chains>([&]<int i>() __attribute__((always_inline)) { asm volatile("" : : "x"(sum[i])); });
  return 8.0 * chains * lanes * static_cast<double>(rounds);
}
