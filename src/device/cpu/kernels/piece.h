// Products of short pieces of the inputs, for which a call of oneDNN costs too much. Every element is one chain of
// multiply-adds in rising depth from zero; then an earlier piece's product is added to it while it is in a register.
// Included inside an instruction set's unnamed namespace, after product.h.

template <class Word, int MR, int NV, class M>
inline void piece_block(const PieceArgs& args, std::int64_t first, std::int64_t column, const std::uint32_t* w,
                        M last) {
  const char* x = static_cast<const char*>(args.x) + first * args.x_bytes;
  Vec acc[MR][NV];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < NV; ++v) acc[r][v] = Simd::zero();
  const std::int64_t whole = args.inputs / Word::numbers;
  for (std::int64_t d = 0; d < whole; ++d) {
    Vec right[NV];
    for (int v = 0; v < NV; ++v)
      right[v] = Simd::load(reinterpret_cast<const float*>(w + d * piece_columns + v * lanes));
    for (int r = 0; r < MR; ++r) {
      std::uint32_t word;
      __builtin_memcpy(&word, x + r * args.x_bytes + d * 4, 4);
      const Vec left = Word::all(&word);
      for (int v = 0; v < NV; ++v) acc[r][v] = Word::mac(left, right[v], acc[r][v]);
    }
  }
  if (whole * Word::numbers < args.inputs)
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      std::uint32_t word = 0;
      __builtin_memcpy(&word, x + r * args.x_bytes + whole * 4, 2);
      const Vec left = Word::all(&word);
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v)
        acc[r][v] = Word::mac(left, Simd::load(reinterpret_cast<const float*>(w + whole * piece_columns + v * lanes)),
                              acc[r][v]);
    }

  float* out = args.out + first * args.stride + column;
  if (args.accumulate)
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v + 1 < NV; ++v) acc[r][v] = Simd::add(Simd::load(out + r * args.stride + v * lanes), acc[r][v]);
      acc[r][NV - 1] = Simd::add(Simd::load(out + r * args.stride + (NV - 1) * lanes, last), acc[r][NV - 1]);
    }
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v + 1 < NV; ++v) Simd::store(out + r * args.stride + v * lanes, acc[r][v]);
    Simd::store(out + r * args.stride + (NV - 1) * lanes, acc[r][NV - 1], last);
  }
}

// `width` columns, at most piece_columns.
template <class Word, int MR>
inline void piece_rows(const PieceArgs& args, std::int64_t first, std::int64_t column, std::int64_t width,
                       const std::uint32_t* w) {
  std::int64_t c = 0;
  const auto block = [&]<int NV>() {
    const std::int64_t behind = c + NV * lanes;
    if (behind <= width) {
      piece_block<Word, MR, NV>(args, first, column + c, w + c, Full{});
    } else {
      piece_block<Word, MR, NV>(args, first, column + c, w + c, Simd::first(width - (behind - lanes)));
    }
    c = behind;
  };
  while (width - c > (tile_vectors - 1) * lanes) block.template operator()<tile_vectors>();
  if constexpr (tile_vectors == 4)
    if (width - c > lanes) block.template operator()<2>();
  while (c < width) block.template operator()<1>();
}

template <class Word>
void piece_of(const PieceArgs& args) {
  const std::int64_t depth = (args.inputs + Word::numbers - 1) / Word::numbers;
  for (std::int64_t column = 0; column < args.columns; column += piece_columns) {
    const std::int64_t width = args.columns - column < piece_columns ? args.columns - column : piece_columns;
    const std::uint32_t* w = args.w + column * depth;
    std::int64_t r = 0;
    for (; r + tile_rows <= args.rows; r += tile_rows) piece_rows<Word, tile_rows>(args, r, column, width, w);
    for (; r + 2 <= args.rows; r += 2) piece_rows<Word, 2>(args, r, column, width, w);
    if (r < args.rows) piece_rows<Word, 1>(args, r, column, width, w);
  }
}

template <class WordForBf16>
void piece(const PieceArgs& args) {
  if (args.bf16) {
    piece_of<WordForBf16>(args);
  } else {
    piece_of<WordF32>(args);
  }
}
