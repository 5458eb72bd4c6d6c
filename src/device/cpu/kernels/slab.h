// Products with weights in slabs, of f32 or bf16. Included inside an instruction set's unnamed namespace, after
// product.h and words.h.

// Where a block goes, its first element at `to`.
template <class To, int NV, class M>
struct StoreSums {
  To* to;
  std::int64_t stride;
  const float* bias;
  bool accumulate;
  M last;
  template <int r, int v>
  [[gnu::always_inline]] void take(Vec sum) const {
    To* const at = to + r * stride + v * lanes;
    const float* const bias_at = bias ? bias + v * lanes : nullptr;
    if constexpr (v + 1 < NV) {
      store_product(sum, bias_at, accumulate, at, Full{});
    } else {
      store_product(sum, bias_at, accumulate, at, last);
    }
  }
};

template <class Word, class To, int MR, int NV, class M>
inline void slab_block(const SlabArgs& args, std::int64_t first, std::int64_t column, const std::uint32_t* w, M last) {
  const StoreSums<To, NV, M> end{row_of<To>(args.out, first) + column, args.out.stride,
                                 args.bias ? args.bias + column : nullptr, args.accumulate, last};
  slab_sums<Word, MR, NV>(static_cast<const char*>(args.x) + first * args.x_bytes, args.x_bytes, w, args.inputs, end);
}

// All rows of NV vectors of columns.
template <class Word, class To, int NV, class M>
inline void slab_vectors(const SlabArgs& args, std::int64_t column, const std::uint32_t* w, M last) {
  std::int64_t r = 0;
  const auto rows = [&]<int MR>() {
    slab_block<Word, To, MR, NV>(args, r, column, w, last);
    r += MR;
  };
  while (r + tile_rows <= args.rows) rows.template operator()<tile_rows>();
  if (r + 4 <= args.rows) rows.template operator()<4>();
  if (r + 2 <= args.rows) rows.template operator()<2>();
  if (r < args.rows) rows.template operator()<1>();
}

template <class Word, class To>
void slab_product(const SlabArgs& args) {
  const std::int64_t columns = args.out.columns;
  std::int64_t c = 0;
  const auto vectors = [&]<int NV>() {
    const std::uint32_t* w = args.w + c / slab_columns * slab_columns * args.depth + c % slab_columns;
    const std::int64_t behind = c + NV * lanes;
    if (behind <= columns) {
      slab_vectors<Word, To, NV>(args, c, w, Full{});
    } else {
      slab_vectors<Word, To, NV>(args, c, w, Simd::first(columns - (behind - lanes)));
    }
    c = behind;
  };
  while (columns - c > (tile_vectors - 1) * lanes) vectors.template operator()<tile_vectors>();
  if constexpr (tile_vectors == 4)
    if (columns - c > lanes) vectors.template operator()<2>();
  while (c < columns) vectors.template operator()<1>();
}

template <class WordForBf16>
void multiply_slabs(const SlabArgs& args) {
  for_types(args.bf16, args.out.bf16, [&]<class F, class T>(const F*, const T*) {
    slab_product<std::conditional_t<sizeof(F) == 2, WordForBf16, WordF32>, T>(args);
  });
}
