// Blocked causal attention with an online softmax (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022,
// arXiv 2205.14135). Included inside an instruction set's unnamed namespace, after rows.h.
//
// Products work on 32-bit words: an f32 number, or a pair of bf16 numbers of neighbouring depth where the processor has
// a pairwise product. Key blocks are counted from the sequence's start and masked weights are exact zeros, so a row's
// bits depend on its position in the sequence and on nothing else.

// C[rows x NV vectors] += A[rows x depth words] B[depth words x NV vectors].
template <class Word, int MR, int NV>
inline void product_block(const std::uint32_t* a, std::int64_t lda, const std::uint32_t* b, std::int64_t ldb, float* c,
                          std::int64_t ldc, std::int64_t depth, bool add) {
  Vec acc[MR][NV];
  for (int r = 0; r < MR; ++r)
    for (int v = 0; v < NV; ++v) acc[r][v] = add ? Simd::load(c + r * ldc + v * lanes) : Simd::zero();
  for (std::int64_t d = 0; d < depth; ++d) {
    Vec right[NV];
    for (int v = 0; v < NV; ++v) right[v] = Simd::load(reinterpret_cast<const float*>(b + d * ldb + v * lanes));
    for (int r = 0; r < MR; ++r) {
      const Vec left = Word::all(a + r * lda + d);
      for (int v = 0; v < NV; ++v) acc[r][v] = Word::mac(left, right[v], acc[r][v]);
    }
  }
  for (int r = 0; r < MR; ++r)
    for (int v = 0; v < NV; ++v) Simd::store(c + r * ldc + v * lanes, acc[r][v]);
}

constexpr int tile_rows = lanes == 16 ? 6 : 4;
constexpr int tile_vectors = lanes == 16 ? 4 : 2;

template <class Word, int MR>
inline void product_columns(const std::uint32_t* a, std::int64_t lda, const std::uint32_t* b, std::int64_t ldb,
                            float* c, std::int64_t ldc, std::int64_t depth, std::int64_t vectors, bool add) {
  std::int64_t v = 0;
  for (; v + tile_vectors <= vectors; v += tile_vectors)
    product_block<Word, MR, tile_vectors>(a, lda, b + v * lanes, ldb, c + v * lanes, ldc, depth, add);
  if constexpr (tile_vectors == 4) {
    if (v + 2 <= vectors) {
      product_block<Word, MR, 2>(a, lda, b + v * lanes, ldb, c + v * lanes, ldc, depth, add);
      v += 2;
    }
  }
  if (v < vectors) product_block<Word, MR, 1>(a, lda, b + v * lanes, ldb, c + v * lanes, ldc, depth, add);
}

template <class Word>
void product_rows(std::int64_t rows, const std::uint32_t* a, std::int64_t lda, const std::uint32_t* b, std::int64_t ldb,
                  float* c, std::int64_t ldc, std::int64_t depth, std::int64_t vectors, bool add) {
  std::int64_t r = 0;
  for (; r + tile_rows <= rows; r += tile_rows)
    product_columns<Word, tile_rows>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, vectors, add);
  for (; r + 2 <= rows; r += 2)
    product_columns<Word, 2>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, vectors, add);
  if (r < rows) product_columns<Word, 1>(a + r * lda, lda, b, ldb, c + r * ldc, ldc, depth, vectors, add);
}

struct WordF32 {
  static constexpr std::int64_t numbers = 1;  // of the depth in one word
  static Vec all(const std::uint32_t* p) { return Simd::all(*reinterpret_cast<const float*>(p)); }
  static Vec mac(Vec a, Vec b, Vec c) { return Simd::fma(a, b, c); }

  // One row as words.
  template <class T>
  static void copy(const T* from, std::uint32_t* to, std::int64_t columns) {
    map_row(from, reinterpret_cast<float*>(to), columns, [](Vec x, std::int64_t, Mask) { return x; });
  }
  // to[d][key] for `keys` keys; columns of the block beyond them become zeros.
  template <class T>
  static void pack_keys(const T* from, std::int64_t stride, std::int64_t keys, std::int64_t head_size,
                        std::uint32_t* to) {
    float* out = reinterpret_cast<float*>(to);
    alignas(64) float line[attend_head_size];
    for (std::int64_t k = 0; k < keys; ++k) {
      map_row(from + k * stride, line, head_size, [](Vec x, std::int64_t, Mask) { return x; });
      for (std::int64_t d = 0; d < head_size; ++d) out[d * attend_keys + k] = line[d];
    }
    for (std::int64_t k = keys; k < (keys + 15) / 16 * 16; ++k)
      for (std::int64_t d = 0; d < head_size; ++d) out[d * attend_keys + k] = 0;
  }
  // to[key][column], columns padded with zeros to `width`.
  template <class T>
  static void pack_values(const T* from, std::int64_t stride, std::int64_t keys, std::int64_t head_size,
                          std::int64_t width, std::uint32_t* to) {
    for (std::int64_t k = 0; k < keys; ++k) {
      float* line = reinterpret_cast<float*>(to + k * width);
      map_row(from + k * stride, line, head_size, [](Vec x, std::int64_t, Mask) { return x; });
      for (std::int64_t c = head_size; c < width; ++c) line[c] = 0;
    }
  }
  static void store_weights(std::uint32_t* row, std::int64_t key, Vec x) {
    Simd::store(reinterpret_cast<float*>(row) + key, x);
  }
};

// Weights of keys [low, high) of one row; zeros for the others below `padded`. Returns the factor of earlier sums.
template <class Word>
float soften(const float* scores, std::uint32_t* weights, std::int64_t low, std::int64_t high, std::int64_t padded,
             float scale, float& highest, float& total) {
  const Vec none = Simd::all(-__builtin_inff());
  const Vec factor = Simd::all(scale);
  Vec line[attend_keys / lanes];
  Vec top = none;
  const int vectors = static_cast<int>(padded / lanes);
  for (int v = 0; v < vectors; ++v) {
    line[v] = Simd::mul(Simd::load(scores + v * lanes), factor);
    if (v * lanes < low || (v + 1) * lanes > high)
      line[v] = Simd::pick(Simd::range(low - v * lanes, high - v * lanes), line[v], none);
    top = Simd::max(top, line[v]);
  }
  const float block = Simd::highest(top);
  const float before = highest;
  const float now = before > block ? before : block;
  highest = now;
  const Vec shift = Simd::all(now == -__builtin_inff() ? 0 : now);
  const Vec floor = Simd::all(-140.0f);
  Vec sum = Simd::zero();
  for (int v = 0; v < vectors; ++v) {
    const Mask kept = Simd::range(low - v * lanes, high - v * lanes);
    const Vec p = Simd::pick(kept, exp2_of(Simd::max(floor, Simd::sub(line[v], shift))), Simd::zero());
    sum = Simd::add(sum, p);
    Word::store_weights(weights, v * lanes, p);
  }
  const float kept = before == now ? 1.0f : before == -__builtin_inff() ? 0.0f : __builtin_exp2f(before - now);
  total = total * kept + Simd::sum(sum);
  return kept;
}

template <class Word, class T>
struct Attend {
  const AttendArgs& args;
  const AttendTask& task;
  AttendScratch& scratch;
  std::int64_t width = (args.head_size + 15) / 16 * 16;  // of a row of sums
  std::int64_t depth = args.head_size / Word::numbers;   // words of a query
  std::int64_t line = attend_keys / Word::numbers;       // words of a row of weights

  std::int64_t low_of(std::int64_t position) const {
    return args.window > 0 && position >= args.window ? position - args.window + 1 : 0;
  }

  void start() {
    for (std::int64_t h = 0; h < task.heads; ++h)
      for (std::int64_t i = 0; i < task.queries; ++i) {
        const std::int64_t slot = h * attend_rows + i;
        const T* q = row_of<const T>(args.q, task.first + task.query + i) + (task.head + h) * args.head_size;
        Word::copy(q, scratch.queries + slot * depth, args.head_size);
        for (std::int64_t c = 0; c < width; c += lanes) Simd::store(scratch.sums + slot * width + c, Simd::zero());
        scratch.highest[slot] = -__builtin_inff();
        scratch.totals[slot] = 0;
      }
  }

  // Adds keys [block, block + keys) for one head.
  void add(std::int64_t h, std::int64_t block, std::int64_t keys) {
    const float scale = args.scale * log2_e;
    const std::uint32_t* queries = scratch.queries + h * attend_rows * depth;
    float* sums = scratch.sums + h * attend_rows * width;
    const std::int64_t padded = (keys + 15) / 16 * 16;
    product_rows<Word>(task.queries, queries, depth, scratch.keys, attend_keys, scratch.scores, attend_keys, depth,
                       padded / lanes, false);
    for (std::int64_t i = 0; i < task.queries; ++i) {
      const std::int64_t position = task.query + i;
      const std::int64_t low = low_of(position) - block;
      const std::int64_t high = position + 1 - block;
      std::uint32_t* weights = scratch.weights + i * line;
      const std::int64_t slot = h * attend_rows + i;
      const float kept =
          soften<Word>(scratch.scores + i * attend_keys, weights, low < 0 ? 0 : low, high > keys ? keys : high, padded,
                       scale, scratch.highest[slot], scratch.totals[slot]);
      if (kept != 1.0f) {
        float* sum = sums + i * width;
        for (std::int64_t c = 0; c < width; c += lanes)
          Simd::store(sum + c, Simd::mul(Simd::load(sum + c), Simd::all(kept)));
      }
    }
    product_rows<Word>(task.queries, scratch.weights, line, scratch.values, width, sums, width,
                       (keys + Word::numbers - 1) / Word::numbers, width / lanes, true);
  }

  void write() {
    for (std::int64_t h = 0; h < task.heads; ++h)
      for (std::int64_t i = 0; i < task.queries; ++i) {
        const std::int64_t slot = h * attend_rows + i;
        T* out = row_of<T>(args.out, task.first + task.query + i) + (task.head + h) * args.head_size;
        const Vec factor = Simd::all(1.0f / scratch.totals[slot]);
        map_row(scratch.sums + slot * width, out, args.head_size,
                [&](Vec x, std::int64_t, Mask) { return Simd::mul(x, factor); });
      }
  }

  void run() {
    start();
    const std::int64_t end = task.query + task.queries;
    for (std::int64_t block = low_of(task.query) / attend_keys * attend_keys; block < end; block += attend_keys) {
      const std::int64_t keys = end - block < attend_keys ? end - block : attend_keys;
      const T* k = row_of<const T>(args.k, task.first + block) + task.kv_head * args.head_size;
      const T* v = row_of<const T>(args.v, task.first + block) + task.kv_head * args.head_size;
      Word::pack_keys(k, args.k.stride, keys, args.head_size, scratch.keys);
      Word::pack_values(v, args.v.stride, keys, args.head_size, width, scratch.values);
      for (std::int64_t h = 0; h < task.heads; ++h) add(h, block, keys);
    }
    write();
  }
};

template <class WordForBf16>
void attend(const AttendArgs& args, const AttendTask& task, AttendScratch& scratch) {
  if (args.q.bf16) {
    Attend<WordForBf16, Bf16>{args, task, scratch}.run();
  } else {
    Attend<WordF32, float>{args, task, scratch}.run();
  }
}
