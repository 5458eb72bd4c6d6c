// Blocked causal attention with an online softmax (Milakov and Gimelshein 2018, arXiv 1805.02867; Dao et al. 2022,
// arXiv 2205.14135). Included inside an instruction set's unnamed namespace, after product.h.
//
// Key blocks are counted from the sequence's start and masked weights are exact zeros, so a row's bits depend on its
// position in the sequence and on nothing else.

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
  Scratch& scratch;
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
void attend(const AttendArgs& args, const AttendTask& task, Scratch& scratch) {
  if (args.q.bf16) {
    Attend<WordForBf16, Bf16>{args, task, scratch}.run();
  } else {
    Attend<WordF32, float>{args, task, scratch}.run();
  }
}
