// The pass over a tile of logits. Included inside an instruction set's unnamed namespace, after math.h.

inline std::int32_t count_above(const float* x, std::int64_t columns, float limit, bool ties) {
  const Vec bound = Simd::all(limit);
  std::int32_t count = 0;
  for (std::int64_t c = 0; c < columns; c += lanes) {
    const Mask m = Simd::first(columns - c);
    const Vec value = Simd::load(x + c, m);
    const Mask hit = ties ? Simd::not_below(value, bound) : Simd::below(bound, value);
    count += __builtin_popcount(Simd::bits(Simd::both(hit, m)));
  }
  return count;
}

inline Vec highest_of(const float* x, std::int64_t columns) {
  Vec top[4];
  for (Vec& t : top) t = Simd::all(-__builtin_inff());
  std::int64_t c = 0;
  for (; c + 4 * lanes <= columns; c += 4 * lanes)
    for (int i = 0; i < 4; ++i) top[i] = Simd::max(top[i], Simd::load(x + c + i * lanes));
  for (; c < columns; c += lanes) {
    const Mask m = Simd::first(columns - c);
    top[0] = Simd::max(top[0], Simd::pick(m, Simd::load(x + c, m), Simd::all(-__builtin_inff())));
  }
  return Simd::max(Simd::max(top[0], top[1]), Simd::max(top[2], top[3]));
}

template <bool entropy>
inline void sum_exp(const float* x, std::int64_t columns, TilePart& part) {
  const Vec reference = Simd::all(part.reference), scale = Simd::all(log2_e), floor = Simd::all(-200.0f);
  Vec sum[2] = {Simd::zero(), Simd::zero()}, weighted[2] = {Simd::zero(), Simd::zero()};
  const auto add = [&](Vec t, int i) {
    if constexpr (entropy) t = Simd::max(floor, t);  // for 0 * -inf
    const Vec p = exp2_of(t);
    sum[i] = Simd::add(sum[i], p);
    if constexpr (entropy) weighted[i] = Simd::fma(p, t, weighted[i]);
  };
  std::int64_t c = 0;
  for (; c + 2 * lanes <= columns; c += 2 * lanes)
    for (int i = 0; i < 2; ++i) add(Simd::fms(Simd::load(x + c + i * lanes), scale, reference), i);
  for (; c < columns; c += lanes) {
    const Mask m = Simd::first(columns - c);
    add(Simd::pick(m, Simd::fms(Simd::load(x + c, m), scale, reference), Simd::all(-__builtin_inff())), 0);
  }
  part.sum = Simd::sum(Simd::add(sum[0], sum[1]));
  part.weighted = entropy ? Simd::sum(Simd::add(weighted[0], weighted[1])) : 0;
}

// The `top` best of a row by falling logit, equal ones by rising id, none below `floor`.
inline void best_of(const float* x, std::int64_t columns, std::int32_t first_id, std::int64_t top, float floor,
                    TopEntry* entries) {
  std::int64_t count = 0;
  for (std::int64_t c = 0; c < columns; c += lanes) {
    const Mask m = Simd::first(columns - c);
    const Vec value = Simd::load(x + c, m);
    const bool full = count == top;
    const Mask hit =
        full ? Simd::below(Simd::all(entries[top - 1].logit), value) : Simd::not_below(value, Simd::all(floor));
    for (unsigned bits = Simd::bits(Simd::both(hit, m)); bits; bits &= bits - 1) {
      const int lane = __builtin_ctz(bits);
      const float logit = x[c + lane];
      if (count == top && !(logit > entries[top - 1].logit)) continue;
      std::int64_t at = count < top ? count++ : top - 1;
      for (; at > 0 && entries[at - 1].logit < logit; --at) entries[at] = entries[at - 1];
      entries[at] = {logit, static_cast<std::int32_t>(first_id + c + lane)};
    }
  }
  if (count < top) entries[count].id = entries[top - 1].id = -1;
}

void score(const TileArgs& args) {
  for (std::int64_t r = 0; r < args.rows; ++r) {
    const float* x = args.logits + r * args.columns;
    TilePart& part = args.parts[r];
    const float highest = Simd::highest(highest_of(x, args.columns));
    part.reference = highest == -__builtin_inff() ? 0.0f : highest * log2_e;
    if (args.entropy) {
      sum_exp<true>(x, args.columns, part);
    } else {
      sum_exp<false>(x, args.columns, part);
    }
    if (highest == -__builtin_inff()) part.reference = highest;
    const std::int64_t target = args.targets[r] - std::int64_t{args.first_id};
    if (target >= 0 && target < args.columns) args.found[r] = x[target];
    part.above = 0;
    if (args.target_logits) {
      const std::int64_t lower = target < 0 ? 0 : target > args.columns ? args.columns : target;
      part.above = count_above(x, lower, args.target_logits[r], true) +
                   count_above(x + lower, args.columns - lower, args.target_logits[r], false);
    }
    if (args.top > 0) best_of(x, args.columns, args.first_id, args.top, args.top_floor[r], args.entries + r * args.top);
  }
}
