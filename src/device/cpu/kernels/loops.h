// Where rows lie, and their vectors. Included inside an instruction set's unnamed namespace, after math.h.

template <class T>
T* row_of(const Rows& rows, std::int64_t r) {
  return static_cast<T*>(rows.data) + r * rows.stride;
}

// body(c, mask) for the vectors of columns [first, last).
template <class Body>
inline void each_vector(std::int64_t first, std::int64_t last, const Body& body) {
  std::int64_t c = first;
  for (; c + lanes <= last; c += lanes) body(c, Full{});
  if (c < last) body(c, Simd::first(last - c));
}

// Asks for lines that the processor does not see coming, to read (0) or to write (1).
template <int write>
inline void prefetch(const void* first, std::int64_t bytes) {
  for (std::int64_t at = 0; at < bytes; at += 64) __builtin_prefetch(static_cast<const char*>(first) + at, write);
}
