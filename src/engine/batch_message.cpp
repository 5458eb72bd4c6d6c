#include "engine/batch_message.h"

#include <algorithm>
#include <cstring>

#include "thresher/base/check.h"

namespace thresher::engine {
namespace {

constexpr std::size_t alignment = 64;

struct BatchHeader {
  std::uint64_t bytes = 0;
  std::int64_t tokens = 0, starts = 0, scored = 0, inherited = 0, width = 0;
};

struct ScoresHeader {
  std::uint64_t bytes = 0;
  std::int64_t rows = 0, top = 0;
};

std::size_t aligned(std::size_t bytes) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// Where the residual stream begins.
std::size_t numbers_end(const BatchHeader& header) {
  return aligned(sizeof(BatchHeader) +
                 4 * static_cast<std::size_t>(header.tokens + header.starts + 2 * header.scored + header.inherited));
}

BatchHeader header_of(const model::PackedBatch& batch, std::int64_t width) {
  BatchHeader header{.tokens = static_cast<std::int64_t>(batch.ids.size()),
                     .starts = static_cast<std::int64_t>(batch.starts.size()),
                     .scored = static_cast<std::int64_t>(batch.targets.size()),
                     .inherited = static_cast<std::int64_t>(batch.inherited.size()),
                     .width = width};
  header.bytes = numbers_end(header) + 4 * static_cast<std::size_t>(header.tokens * width);
  return header;
}

// Values one after another.
class Writer {
 public:
  explicit Writer(std::span<std::byte> place) : place_(place) {}
  void put(const void* data, std::size_t bytes) {
    if (bytes > 0) std::memcpy(place_.subspan(at_, bytes).data(), data, bytes);
    at_ += bytes;
  }
  template <class T>
  void put(const std::vector<T>& values) {
    put(values.data(), values.size() * sizeof(T));
  }

 private:
  std::span<std::byte> place_;
  std::size_t at_ = 0;
};

class Reader {
 public:
  explicit Reader(std::span<const std::byte> message) : message_(message) {}
  void get(void* data, std::size_t bytes) {
    if (bytes > message_.size() - at_) base::fail(base::Exit::internal, "a message between stages is cut short");
    if (bytes > 0) std::memcpy(data, message_.data() + at_, bytes);
    at_ += bytes;
  }
  template <class T>
  void get(std::vector<T>& values, std::int64_t count) {
    values.resize(static_cast<std::size_t>(count));
    get(values.data(), values.size() * sizeof(T));
  }

 private:
  std::span<const std::byte> message_;
  std::size_t at_ = 0;
};

}  // namespace

std::span<std::byte> Sender::begin(std::size_t bytes) {
  bytes_ = bytes;
  place_ = outlet_.buffer();
  if (bytes <= place_.size()) return place_.first(bytes);
  if (static_cast<std::size_t>(long_one_.bytes()) < bytes)
    long_one_ = tensor::host_buffer(static_cast<std::int64_t>(bytes));
  return {static_cast<std::byte*>(long_one_.data()), bytes};
}

void Sender::send() {
  if (bytes_ <= place_.size()) return outlet_.send(bytes_);
  const std::span<const std::byte> message(static_cast<const std::byte*>(long_one_.data()), bytes_);
  for (std::size_t at = 0; at < bytes_; at += place_.size()) {
    place_ = outlet_.buffer();
    const std::size_t piece = std::min(place_.size(), bytes_ - at);
    std::copy_n(message.begin() + static_cast<std::ptrdiff_t>(at), piece, place_.begin());
    outlet_.send(piece);
  }
}

std::span<const std::byte> Receiver::receive() {
  std::span<const std::byte> message = inlet_.receive();
  std::uint64_t bytes = 0;
  if (message.size() < sizeof bytes) base::fail(base::Exit::internal, "a message between stages has no length");
  std::memcpy(&bytes, message.data(), sizeof bytes);
  holds_ = message.size() >= bytes;
  if (holds_) return message;
  if (static_cast<std::uint64_t>(long_one_.bytes()) < bytes)
    long_one_ = tensor::host_buffer(static_cast<std::int64_t>(bytes));
  auto* const whole = static_cast<std::byte*>(long_one_.data());
  for (std::size_t at = 0;;) {
    if (message.size() > bytes - at) base::fail(base::Exit::internal, "a message between stages is too long");
    std::copy(message.begin(), message.end(), whole + at);
    at += message.size();
    inlet_.release();
    if (at == bytes) return {whole, bytes};
    message = inlet_.receive();
  }
}

void Receiver::release() {
  if (holds_) inlet_.release();
  holds_ = false;
}

std::size_t batch_bytes(const model::PackedBatch& batch, std::int64_t width) {
  return header_of(batch, width).bytes;
}

std::size_t batch_bytes(std::int64_t tokens, std::int64_t width) {
  return numbers_end({.tokens = tokens, .starts = tokens + 1, .scored = tokens, .inherited = tokens}) +
         4 * static_cast<std::size_t>(tokens * width);
}

std::span<float> write_batch(const model::PackedBatch& batch, std::int64_t width, std::span<std::byte> message) {
  const BatchHeader header = header_of(batch, width);
  Writer writer(message);
  writer.put(&header, sizeof header);
  writer.put(batch.ids);
  writer.put(batch.starts);
  writer.put(batch.scored_rows);
  writer.put(batch.targets);
  writer.put(batch.inherited);
  return {reinterpret_cast<float*>(message.subspan(numbers_end(header)).data()),
          static_cast<std::size_t>(header.tokens * width)};
}

std::span<const float> read_batch(std::span<const std::byte> message, model::PackedBatch& batch) {
  BatchHeader header;
  Reader reader(message);
  reader.get(&header, sizeof header);
  reader.get(batch.ids, header.tokens);
  reader.get(batch.starts, header.starts);
  reader.get(batch.scored_rows, header.scored);
  reader.get(batch.targets, header.scored);
  reader.get(batch.inherited, header.inherited);
  const std::size_t end = numbers_end(header), floats = static_cast<std::size_t>(header.tokens * header.width);
  if (message.size() < end + 4 * floats) base::fail(base::Exit::internal, "a message between stages is cut short");
  return {reinterpret_cast<const float*>(message.data() + end), floats};
}

std::size_t scores_bytes(std::int64_t rows, std::int64_t top) {
  return sizeof(ScoresHeader) + static_cast<std::size_t>(12 * rows + 8 * top);
}

std::size_t scores_bytes(const model::ScoredTokens& scores) {
  return scores_bytes(static_cast<std::int64_t>(scores.logprob.size()),
                      static_cast<std::int64_t>(scores.top_id.size()));
}

void write_scores(const model::ScoredTokens& scores, std::span<std::byte> message) {
  const ScoresHeader header{message.size(), static_cast<std::int64_t>(scores.logprob.size()),
                            static_cast<std::int64_t>(scores.top_id.size())};
  Writer writer(message);
  writer.put(&header, sizeof header);
  writer.put(scores.logprob);
  writer.put(scores.rank);
  writer.put(scores.entropy);
  writer.put(scores.top_id);
  writer.put(scores.top_logprob);
}

void read_scores(std::span<const std::byte> message, model::ScoredTokens& scores) {
  ScoresHeader header;
  Reader reader(message);
  reader.get(&header, sizeof header);
  reader.get(scores.logprob, header.rows);
  reader.get(scores.rank, header.rows);
  reader.get(scores.entropy, header.rows);
  reader.get(scores.top_id, header.top);
  reader.get(scores.top_logprob, header.top);
}

}  // namespace thresher::engine
