// Steps that treat each row by itself. Included inside an instruction set's unnamed namespace, after loops.h.

// Calls body with null pointers of the two element types.
template <class Body>
void for_types(bool bf16_from, bool bf16_to, Body body) {
  const float* f = nullptr;
  const Bf16* b = nullptr;
  if (bf16_from && bf16_to) {
    body(b, b);
  } else if (bf16_from) {
    body(b, f);
  } else if (bf16_to) {
    body(f, b);
  } else {
    body(f, f);
  }
}

template <class From, class To, class Op>
inline void map_row(const From* from, To* to, std::int64_t columns, Op op) {
  std::int64_t c = 0;
  for (; c + lanes <= columns; c += lanes) Simd::store(to + c, op(Simd::load(from + c), c, Full{}));
  if (c < columns) {
    const Mask tail = Simd::first(columns - c);
    Simd::store(to + c, op(Simd::load(from + c, tail), c, tail), tail);
  }
}

void convert(const Rows& from, const Rows& to, std::int64_t first, std::int64_t last) {
  for_types(from.bf16, to.bf16, [&]<class F, class T>(const F*, const T*) {
    for (std::int64_t r = first; r < last; ++r)
      map_row(row_of<const F>(from, r), row_of<T>(to, r), to.columns, [](Vec x, std::int64_t, auto) { return x; });
  });
}

void embed(const EmbedArgs& args, std::int64_t first, std::int64_t last) {
  for_types(args.table.bf16, args.out.bf16, [&]<class F, class T>(const F*, const T*) {
    for (std::int64_t r = first; r < last; ++r) {
      const std::int64_t id = args.ids[r] - args.first_id;
      if (id >= 0 && id < args.count) {
        map_row(row_of<const F>(args.table, id), row_of<T>(args.out, r), args.out.columns,
                [](Vec x, std::int64_t, auto) { return x; });
      } else {
        __builtin_memset(row_of<T>(args.out, r), 0, static_cast<std::size_t>(args.out.columns) * sizeof(T));
      }
    }
  });
}

// Sum of squares in four partial sums per lane.
inline float square_sum(const float* x, std::int64_t columns) {
  Vec sum[4] = {Simd::zero(), Simd::zero(), Simd::zero(), Simd::zero()};
  std::int64_t c = 0;
  for (; c + 4 * lanes <= columns; c += 4 * lanes)
    for (int i = 0; i < 4; ++i) {
      const Vec value = Simd::load(x + c + i * lanes);
      sum[i] = Simd::fma(value, value, sum[i]);
    }
  for (int i = 0; c < columns; c += lanes, ++i) {
    const Vec value = Simd::load(x + c, Simd::first(columns - c));
    sum[i] = Simd::fma(value, value, sum[i]);
  }
  return Simd::sum(Simd::add(Simd::add(sum[0], sum[1]), Simd::add(sum[2], sum[3])));
}

inline float norm_factor(const float* x, std::int64_t columns, float epsilon) {
  return 1.0f / __builtin_sqrtf(square_sum(x, columns) / static_cast<float>(columns) + epsilon);
}

void norm(const Rows& x, const std::int32_t* rows, const float* gain, float epsilon, const Rows& out,
          std::int64_t first, std::int64_t last) {
  for_types(false, out.bf16, [&]<class F, class T>(const F*, const T*) {
    for (std::int64_t r = first; r < last; ++r) {
      const float* from = row_of<const float>(x, rows ? rows[r] : r);
      const Vec factor = Simd::all(norm_factor(from, out.columns, epsilon));
      map_row(from, row_of<T>(out, r), out.columns, [&](Vec value, std::int64_t c, auto m) {
        return Simd::mul(Simd::mul(value, factor), Simd::load(gain + c, m));
      });
    }
  });
}

template <class From, class To, class M>
inline void rotate(const From* from, To* to, std::int64_t half, const float* cos, const float* sin, M m) {
  const Vec low = Simd::load(from, m), high = Simd::load(from + half, m);
  const Vec c = Simd::load(cos, m), s = Simd::load(sin, m);
  Simd::store(to, Simd::sub(Simd::mul(low, c), Simd::mul(high, s)), m);
  Simd::store(to + half, Simd::fma(high, c, Simd::mul(low, s)), m);
}

// `from` may be `to`. The rest of a half that is no whole number of vectors is turned as its last whole vector, whose
// numbers are read before the others are written: masked stores cost more than the whole head.
template <class From, class To>
inline void rotate_head(const From* from, To* to, std::int64_t half, const float* cos, const float* sin) {
  if (half < lanes) return rotate(from, to, half, cos, sin, Simd::first(half));
  alignas(64) To tail[2 * lanes];
  const std::int64_t last = half - lanes, whole = half / lanes * lanes;
  if (whole < half) {
    const Vec low = Simd::load(from + last), high = Simd::load(from + half + last);
    const Vec c = Simd::load(cos + last), s = Simd::load(sin + last);
    Simd::store(tail, Simd::sub(Simd::mul(low, c), Simd::mul(high, s)));
    Simd::store(tail + lanes, Simd::fma(high, c, Simd::mul(low, s)));
  }
  for (std::int64_t c = 0; c < whole; c += lanes) rotate(from + c, to + c, half, cos + c, sin + c, Full{});
  if (whole < half) {
    __builtin_memcpy(to + last, tail, lanes * sizeof(To));
    __builtin_memcpy(to + half + last, tail + lanes, lanes * sizeof(To));
  }
}

// RMSNorm of a head, then its rotation.
template <class T>
inline void norm_and_rotate(T* head, const RopeArgs& args, const float* cos, const float* sin) {
  alignas(64) float copy[attend_head_size];
  map_row(head, copy, args.head_size, [](Vec x, std::int64_t, auto) { return x; });
  const Vec factor = Simd::all(norm_factor(copy, args.head_size, args.epsilon));
  map_row(copy, copy, args.head_size,
          [&](Vec x, std::int64_t c, auto m) { return Simd::mul(Simd::mul(x, factor), Simd::load(args.gain + c, m)); });
  rotate_head(copy, head, args.head_size / 2, cos, sin);
}

void rope(const RopeArgs& args, std::int64_t first, std::int64_t last) {
  for_types(args.x.bf16, false, [&]<class T, class U>(const T*, const U*) {
    for (std::int64_t r = first; r < last; ++r) {
      const float* cos = args.cos + args.rows[r] * args.cos_stride;
      const float* sin = args.sin + args.rows[r] * args.sin_stride;
      T* x = row_of<T>(args.x, r);
      for (std::int64_t c = 0; c < args.x.columns; c += args.head_size) {
        if (args.gain) {
          norm_and_rotate(x + c, args, cos, sin);
        } else {
          rotate_head(x + c, x + c, args.head_size / 2, cos, sin);
        }
      }
    }
  });
}

template <class Op>
void gate_rows(const Rows& x, const Rows& up, const Rows& out, std::int64_t first, std::int64_t last, Op op) {
  for_types(x.bf16, out.bf16, [&]<class F, class T>(const F*, const T*) {
    for (std::int64_t r = first; r < last; ++r) {
      const F* factor = row_of<const F>(up, r);
      map_row(row_of<const F>(x, r), row_of<T>(out, r), out.columns,
              [&](Vec value, std::int64_t c, auto m) { return Simd::mul(op(value), Simd::load(factor + c, m)); });
    }
  });
}

void gate(const Rows& x, const Rows& up, Gate activation, const Rows& out, std::int64_t first, std::int64_t last) {
  switch (activation) {
    case Gate::silu:
      return gate_rows(x, up, out, first, last, [](Vec v) { return silu(v); });
    case Gate::gelu:
      return gate_rows(x, up, out, first, last, [](Vec v) { return gelu(v); });
    case Gate::gelu_tanh:
      return gate_rows(x, up, out, first, last, [](Vec v) { return gelu_tanh(v); });
  }
}

void finish(const PartialSums& from, const float* bias, bool accumulate, const Rows& out, std::int64_t first,
            std::int64_t last) {
  for_types(false, out.bf16, [&]<class F, class T>(const F*, const T*) {
    for (std::int64_t r = first; r < last; ++r) {
      T* to = row_of<T>(out, r);
      // A row of a tile is too short for the processor to see where the next one begins.
      if (accumulate && r + 1 < last) prefetch<1>(to + out.stride, out.columns * static_cast<std::int64_t>(sizeof(T)));
      const float* sums = row_of<const float>(from.rows, r);
      const auto pair = [&](std::int64_t part, std::int64_t c, auto m) {
        const float* at = sums + part * from.apart + c;
        return Simd::add(Simd::load(at, m), Simd::load(at + from.apart, m));
      };
      map_row(sums, to, out.columns, [&](Vec value, std::int64_t c, auto m) {
        if (from.count > 1) value = pair(0, c, m);
        if (from.count > 2) value = Simd::add(value, pair(2, c, m));
        if (bias) value = Simd::add(value, Simd::load(bias + c, m));
        if (accumulate) value = Simd::add(value, Simd::load(to + c, m));
        return value;
      });
    }
  });
}
