// Blocked causal attention with an online softmax (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022,
// arXiv 2205.14135). Included inside an instruction set's unnamed namespace, after product.h.
//
// Key blocks are counted from the sequence's start and masked weights are exact zeros, so a row's bits depend on its
// position in the sequence and on nothing else.

// A row's reference may lie this far below its greatest score (in powers of two) before its sums are scaled: weights
// then stay below 2^8, and scaling is rare.
constexpr float slack = 8;

// Weights 2^(score * scale - reference) of keys [low, high) of one row, zeros for the others below `padded`; adds them
// to `total`. Returns the factor that earlier sums of the row have to be multiplied by.
template <class Word, bool whole>
inline float soften(const float* scores, std::uint32_t* weights, std::int64_t low, std::int64_t high, int vectors,
                    float scale, float& reference, float& total) {
  const Vec none = Simd::all(-__builtin_inff()), factor = Simd::all(scale);
  Vec line[attend_keys / lanes];
  Vec top = none;
  for (int v = 0; v < vectors; ++v) {
    line[v] = Simd::mul(Simd::load(scores + v * lanes), factor);
    if constexpr (!whole) line[v] = Simd::pick(Simd::range(low - v * lanes, high - v * lanes), line[v], none);
    top = Simd::max(top, line[v]);
  }
  float kept = 1;
  if (Simd::bits(Simd::below(Simd::all(reference + slack), top)) != 0) {
    const float highest = Simd::highest(top);
    kept = reference == -__builtin_inff() ? 0.0f : __builtin_exp2f(reference - highest);
    reference = highest;
  }
  const Vec shift = Simd::all(reference == -__builtin_inff() ? 0.0f : reference);
  Vec sum = Simd::zero();
  for (int v = 0; v < vectors; ++v) {
    const Vec p = exp2_of(Simd::sub(line[v], shift));
    sum = Simd::add(sum, p);
    Word::store_weights(weights, v * lanes, p);
  }
  total = total * kept + Simd::sum(sum);
  return kept;
}

// Queries and keys are multiplied as words of one kind, weights and values of another.
template <class Word, class ValueWord, class T, class Out>
struct Attend {
  const AttendArgs& args;
  const AttendTask& task;
  Scratch& scratch;
  std::int64_t width = (args.head_size + 15) / 16 * 16;                   // of a row of sums
  std::int64_t depth = args.head_size / Word::numbers;                    // words of a query
  static constexpr std::int64_t line = attend_keys / ValueWord::numbers;  // words of a row of weights
  struct Lines {
    const T* first;
    std::int64_t stride;
  };

  std::int64_t low_of(std::int64_t position) const {
    return args.window > 0 && position >= args.window ? position - args.window + 1 : 0;
  }

  // A row's heads lie side by side, rows far apart: the processor does not see where the next one begins.
  void start() {
    constexpr std::int64_t ahead = 8;
    const std::int64_t bytes = task.heads * args.head_size * static_cast<std::int64_t>(sizeof(T));
    const auto row = [&](std::int64_t i) {
      return row_of<const T>(args.q, task.first + task.query + i) + task.head * args.head_size;
    };
    for (std::int64_t i = 0; i < task.queries; ++i) {
      if (i + ahead < task.queries) prefetch<0>(row(i + ahead), bytes);
      for (std::int64_t h = 0; h < task.heads; ++h) {
        const std::int64_t slot = h * task.queries + i;
        Word::copy(row(i) + h * args.head_size, scratch.queries + slot * depth, args.head_size);
        for (std::int64_t c = 0; c < width; c += lanes) Simd::store(scratch.sums + slot * width + c, Simd::zero());
        scratch.highest[slot] = -__builtin_inff();
        scratch.totals[slot] = 0;
      }
    }
  }

  // Adds keys [block, block + keys) to queries [first, first + MR) of one head, which see some of them.
  template <int MR>
  void add(std::int64_t h, std::int64_t first, std::int64_t block, std::int64_t keys) {
    const std::int64_t slot = h * task.queries + first, position = task.query + first;
    const std::int64_t seen = position + MR - block < keys ? position + MR - block : keys;  // by the last of them
    const int vectors = static_cast<int>((seen + lanes - 1) / lanes);
    const bool whole = low_of(position + MR - 1) <= block && position + 1 - block >= vectors * lanes;
    product_columns<Word, MR, false>(scratch.queries + slot * depth, depth, scratch.keys, attend_keys,
                                     {scratch.scores, attend_keys}, depth, vectors);
    float* sums = scratch.sums + slot * width;
    for (int i = 0; i < MR; ++i) {
      const float* scores = scratch.scores + i * attend_keys;
      std::uint32_t* weights = scratch.weights + i * line;
      float &reference = scratch.highest[slot + i], &total = scratch.totals[slot + i];
      const float scale = args.scale * log2_e;
      const float kept = whole ? soften<ValueWord, true>(scores, weights, 0, 0, vectors, scale, reference, total)
                               : soften<ValueWord, false>(scores, weights, low_of(position + i) - block,
                                                          position + i + 1 - block, vectors, scale, reference, total);
      if (kept != 1.0f)
        for (std::int64_t c = 0; c < width; c += lanes)
          Simd::store(sums + i * width + c, Simd::mul(Simd::load(sums + i * width + c), Simd::all(kept)));
    }
    product_columns<ValueWord, MR, true>(scratch.weights, line, scratch.values, width, {sums, width},
                                         (seen + ValueWord::numbers - 1) / ValueWord::numbers, width / lanes);
  }

  void add_block(std::int64_t block, std::int64_t keys) {
    for (std::int64_t h = 0; h < task.heads; ++h) {
      std::int64_t i = block > task.query ? block - task.query : 0;  // queries before it see none of its keys
      for (; i + tile_rows <= task.queries; i += tile_rows) add<tile_rows>(h, i, block, keys);
      for (; i + 2 <= task.queries; i += 2) add<2>(h, i, block, keys);
      if (i < task.queries) add<1>(h, i, block, keys);
    }
  }

  void write() {
    for (std::int64_t i = 0; i < task.queries; ++i)
      for (std::int64_t h = 0; h < task.heads; ++h) {
        const std::int64_t slot = h * task.queries + i;
        Out* out = row_of<Out>(args.out, task.first + task.query + i) + (task.head + h) * args.head_size;
        const Vec factor = Simd::all(1.0f / scratch.totals[slot]);
        map_row(scratch.sums + slot * width, out, args.head_size,
                [&](Vec x, std::int64_t, auto) { return Simd::mul(x, factor); });
      }
  }

  // Rows [block, block + keys) of x, one after another where they do not lie so.
  Lines lines_of(const Rows& x, std::int64_t block, std::int64_t keys) {
    const std::int64_t column = task.kv_head * args.head_size;
    if (!task.runs) return {row_of<const T>(x, task.first + block) + column, x.stride};
    const KeyRun* run = task.runs;
    while (run->end <= block) ++run;
    if (block + keys <= run->end) return {row_of<const T>(x, run->first + block - run->begin) + column, x.stride};
    T* to = reinterpret_cast<T*>(scratch.gathered);
    for (std::int64_t i = 0; i < keys; ++i) {
      while (run->end <= block + i) ++run;
      __builtin_memcpy(to + i * args.head_size, row_of<const T>(x, run->first + block + i - run->begin) + column,
                       static_cast<std::size_t>(args.head_size) * sizeof(T));
    }
    return {to, args.head_size};
  }

  void run() {
    start();
    const std::int64_t end = task.query + task.queries;
    for (std::int64_t block = low_of(task.query) / attend_keys * attend_keys; block < end; block += attend_keys) {
      const std::int64_t keys = end - block < attend_keys ? end - block : attend_keys;
      const Lines k = lines_of(args.k, block, keys);
      Word::pack_keys(k.first, k.stride, keys, args.head_size, scratch.keys);
      const Lines v = lines_of(args.v, block, keys);
      ValueWord::pack_values(v.first, v.stride, keys, args.head_size, width, scratch.values);
      add_block(block, keys);
    }
    write();
  }
};

// What goes out in bf16 has weights and values in bf16 too, whose errors average out; queries and keys stay as they
// are.
template <class WordForBf16>
void attend(const AttendArgs& args, const AttendTask& task, Scratch& scratch) {
  if (args.q.bf16) {
    Attend<WordForBf16, WordForBf16, Bf16, Bf16>{args, task, scratch}.run();
  } else if (args.out.bf16) {
    Attend<WordF32, WordForBf16, float, Bf16>{args, task, scratch}.run();
  } else {
    Attend<WordF32, WordF32, float, float>{args, task, scratch}.run();
  }
}
