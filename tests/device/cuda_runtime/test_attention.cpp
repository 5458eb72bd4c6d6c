// Who computes attention, with cuDNN's place taken by engines that are right, slow, or wrong in one way each.
#include <boost/test/unit_test.hpp>
#include <cmath>

#include "device/cuda/kernels/kernels.h"
#include "device/cuda/runtime/attention.h"
#include "device/cuda_runtime/fake.h"
#include "thresher/base/check.h"
#include "thresher/base/half.h"

namespace thresher::device::cuda {
namespace {

// What engine i does.
enum Kind : std::int64_t { right, quick, by_company, by_bucket, by_heads, wrong, untidy, unsure, greedy, broken };

struct Offer {
  std::vector<std::int64_t> engines;
  std::int64_t runs = 0, made = 0, most_rows = 0;
};

// The places of sequences come from the kernel that tells cuDNN of them.
class StandIn : public PackedAttention {
 public:
  StandIn(cudaStream_t stream, Offer& offer) : stream_(stream), offer_(offer) { ++offer.made; }

  std::string version() const override { return "9.19.0"; }
  std::vector<Engine> engines(const PackedShape&) override {
    std::vector<Engine> all;
    for (const std::int64_t kind : offer_.engines) all.push_back({kind, {{24, 7}}});
    return all;
  }
  std::int64_t prepare(const PackedShape&, const Engine& engine) override {
    return engine.index == greedy ? std::int64_t{1} << 30 : 0;
  }
  void run(const PackedCall& call, const Engine& engine) override {
    if (engine.index == broken) base::fail(base::Exit::os, "it cannot be compiled");
    BOOST_REQUIRE(call.sequences <= call.shape.sequences);
    BOOST_REQUIRE((call.q.dtype == DType::bf16 && call.k.dtype == DType::bf16 && call.v.dtype == DType::bf16));
    ++offer_.runs;
    offer_.most_rows = std::max(offer_.most_rows, call.q.rows);
    const std::int64_t room = call.shape.sequences;
    grow(places_, 0, (room + 1) * 40);
    auto* const numbers = static_cast<std::int64_t*>(places_.data());
    Ragged places{.starts = call.starts, .sequences = call.sequences, .first_row = call.first_row, .room = room};
    places.strides = {call.q.stride, call.k.stride, call.v.stride, call.out.stride};
    for (std::size_t i = 0; i < 4; ++i) places.offsets[i] = numbers + static_cast<std::int64_t>(i) * (room + 1);
    places.lengths = reinterpret_cast<std::int32_t*>(numbers + 4 * (room + 1));
    ragged(places, stream_);
    fake::submit(stream_, [=, runs = offer_.runs] {
      for (std::int64_t s = 0; s < room; ++s)
        for (std::int64_t h = 0; h < call.shape.query_heads; ++h) head(call, places, s, h, engine.index, runs);
      fake::pass(engine.index == quick ? 1 : 50);
    });
  }

 private:
  static void head(const PackedCall& call, const Ragged& places, std::int64_t s, std::int64_t h, std::int64_t kind,
                   std::int64_t runs) {
    const PackedShape& shape = call.shape;
    const std::int64_t size = shape.head_size, kv = h / (shape.query_heads / shape.kv_heads);
    BOOST_REQUIRE(places.lengths[s] <= shape.rows);
    const auto number = [&](const Tensor& x, std::size_t matrix, std::int64_t row, std::int64_t column) {
      return x.as<std::uint16_t>() + places.offsets[matrix][s] + row * places.strides[matrix] + column;
    };
    for (std::int64_t t = 0; t < places.lengths[s]; ++t) {
      std::vector<double> sum(static_cast<std::size_t>(size));
      double total = 0;
      for (std::int64_t j = 0; j <= (kind == wrong ? std::max<std::int64_t>(t - 1, 0) : t); ++j) {
        double dot = 0;
        for (std::int64_t d = 0; d < size; ++d)
          dot += static_cast<double>(base::from_bf16(*number(call.q, 0, t, h * size + d))) *
                 static_cast<double>(base::from_bf16(*number(call.k, 1, j, kv * size + d)));
        const double weight = std::exp(dot * static_cast<double>(call.scale));
        total += weight;
        for (std::int64_t d = 0; d < size; ++d)
          sum[static_cast<std::size_t>(d)] +=
              weight * static_cast<double>(base::from_bf16(*number(call.v, 2, j, kv * size + d)));
      }
      // Less than any tolerance, and more than bf16 rounds away.
      const bool off = (kind == by_company && call.sequences > 1 && s > 0) ||
                       (kind == by_bucket && shape.rows > 4096) || (kind == by_heads && shape.query_heads == 1) ||
                       (kind == unsure && runs % 2 == 0);
      for (std::int64_t d = 0; d < size; ++d)
        *number(call.out, 3, t, h * size + d) =
            base::to_bf16(static_cast<float>(sum[static_cast<std::size_t>(d)] / total * (off ? 1.01 : 1)));
    }
    if (kind == untidy && s + 1 == call.sequences) *number(call.out, 3, places.lengths[s], h * size) = 0;
  }

  cudaStream_t stream_;
  Offer& offer_;
  Buffer places_;
};

const TrialSizes small{.lengths = {1, 0, 7, 70, 30}, .timed_lengths = {8}, .timed_rows = 16};
const AttentionKey key{DType::f32, 16};

struct World {
  StreamHandle stream = make_stream();
  Algorithms algorithms{"somewhere"};
  Offer offer;
  bool missing = false;

  Attention attention(AttentionBy by) {
    return {0,
            stream.raw(),
            algorithms,
            by,
            [this](std::string& trouble) -> std::unique_ptr<PackedAttention> {
              if (missing) {
                trouble = "libcudnn_graph.so.9 is not there";
                return nullptr;
              }
              return std::make_unique<StandIn>(stream.raw(), offer);
            },
            small};
  }
};

// A call on memory of its own: sequences of 5, 0 and 9 rows, 2 kv heads.
struct Example {
  Buffer in, out, starts;
  std::vector<std::int32_t> host_starts{0, 5, 5, 14};
  AttentionCall call;

  explicit Example(cudaStream_t stream, DType dtype = DType::f32, std::int64_t window = 0) {
    constexpr std::int64_t rows = 14, size = 16, heads = 4, kv = 2, width = (heads + 2 * kv) * size;
    in = device_buffer(0, rows * width * tensor::size_of(dtype));
    out = device_buffer(0, rows * heads * size * 2);
    starts = device_buffer(0, 16);
    Copies copies(stream);
    std::vector<float> values(rows * width);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i * i % 1009));
    const Tensor all = tensor::matrix(in.data(), dtype, rows, width);
    copies.upload_as(tensor::matrix(values.data(), DType::f32, rows, width), all);
    const Tensor there = tensor::row_vector(starts.data(), DType::i32, 4);
    copies.upload(tensor::row_vector(host_starts.data(), DType::i32, 4), there);
    call = {.q = all.columns_from(0, heads * size),
            .k = all.columns_from(heads * size, kv * size),
            .v = all.columns_from((heads + kv) * size, kv * size),
            .sequences = {there, 3, 9, host_starts},
            .options = {.query_heads = heads, .kv_heads = kv, .head_size = size, .scale = 0.25f, .window = window},
            .out = tensor::matrix(out.data(), DType::bf16, rows, heads * size)};
  }
  std::vector<float> result(cudaStream_t stream) const {
    std::vector<std::uint16_t> bits(static_cast<std::size_t>(call.out.elements()));
    Copies(stream).download(call.out, tensor::matrix(bits.data(), DType::bf16, call.out.rows, call.out.columns));
    std::vector<float> values;
    for (const std::uint16_t one : bits) values.push_back(base::from_bf16(one));
    return values;
  }
};

BOOST_FIXTURE_TEST_SUITE(cuda_attention, World)

BOOST_AUTO_TEST_CASE(a_faster_engine_that_passes_is_taken) {
  offer.engines = {quick};
  Attention attention = this->attention(AttentionBy::measured);
  const TunedAttention tuned = attention.tune(key);
  BOOST_TEST(text_of(tuned.choice) == "cudnn 9.19.0 1 24=7");
  BOOST_TEST(tuned.note == "");
  BOOST_TEST(tuned.seconds >= 1e-3);
  BOOST_TEST(*algorithms.find(attention_section, "f32 16") == "cudnn 9.19.0 1 24=7");
  BOOST_TEST(attention.told() == ", attention f32 16 by cudnn 9.19.0 1 24=7");
}

BOOST_AUTO_TEST_CASE(engines_that_break_a_promise_are_refused) {
  const std::pair<std::int64_t, const char*> cases[] = {
      {by_company, "company"},  {by_bucket, "bucket"},
      {by_heads, "the others"}, {wrong, "not those of the own kernel"},
      {untidy, "own kernel"},   {unsure, "called again"},
      {greedy, "1073741824"},   {broken, "cannot be compiled"}};
  for (const auto& [kind, words] : cases) {
    Algorithms fresh("somewhere");
    algorithms = fresh;
    offer.engines = {kind};
    const TunedAttention tuned = attention(AttentionBy::measured).tune(key);
    BOOST_TEST(text_of(tuned.choice) == "own");
    BOOST_TEST(tuned.note.find(words) != std::string::npos, tuned.note);
    BOOST_TEST(tuned.seconds == tuned.own_seconds);
  }
  offer.engines = {by_company, quick};
  algorithms = Algorithms("somewhere");
  BOOST_TEST(text_of(attention(AttentionBy::measured).tune(key).choice) == "cudnn 9.19.0 1 24=7");
}

BOOST_AUTO_TEST_CASE(without_cudnn_the_own_kernel_is_taken_and_it_is_said_why) {
  missing = true;
  const TunedAttention tuned = attention(AttentionBy::measured).tune(key);
  BOOST_TEST(text_of(tuned.choice) == "own");
  BOOST_TEST(tuned.note == "libcudnn_graph.so.9 is not there");
  missing = false;
  algorithms = Algorithms("somewhere");
  offer.engines = {};
  BOOST_TEST(attention(AttentionBy::measured).tune(key).note == "cuDNN has no engine for it");
}

BOOST_AUTO_TEST_CASE(a_slow_engine_is_taken_by_force_alone) {
  offer.engines = {right};
  fake::settings().late = false;
  const TunedAttention measured = attention(AttentionBy::measured).tune(key);
  if (measured.own_seconds < 0.05) BOOST_TEST(text_of(measured.choice) == "own");
  algorithms = Algorithms("somewhere");
  BOOST_TEST(text_of(attention(AttentionBy::cudnn).tune(key).choice) == "cudnn 9.19.0 0 24=7");
  algorithms = Algorithms("somewhere");
  const std::int64_t before = offer.runs;
  BOOST_TEST(text_of(attention(AttentionBy::own).tune(key).choice) == "own");
  BOOST_TEST(offer.runs == before);
  algorithms = Algorithms("somewhere");
  offer.engines = {wrong};
  BOOST_CHECK_EXCEPTION(attention(AttentionBy::cudnn).tune(key), base::Error,
                        [](const base::Error& error) { return error.code() == base::Exit::unavailable; });
  fake::settings() = {};
}

BOOST_AUTO_TEST_CASE(calls_go_to_who_was_chosen) {
  offer.engines = {quick};
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const Example example(stream.raw(), dtype);
    algorithms = Algorithms("somewhere");
    Attention own = attention(AttentionBy::own);
    own.run(example.call);
    const std::vector<float> expected = example.result(stream.raw());
    algorithms = Algorithms("somewhere");
    algorithms.add(attention_section, text_of(AttentionKey{dtype, 16}), "cudnn 9.19.0 1 24=7");
    Attention told = attention(AttentionBy::measured);
    const std::int64_t before = offer.runs;
    told.run(example.call);
    BOOST_TEST(offer.runs == before + 1);
    const std::vector<float> found = example.result(stream.raw());
    for (std::size_t i = 0; i < found.size(); ++i) BOOST_TEST(std::abs(found[i] - expected[i]) <= 0.03f);
    // What cuDNN cannot be given.
    const Example windowed(stream.raw(), dtype, 3);
    told.run(windowed.call);
    AttentionCall unaligned = example.call;
    unaligned.out = unaligned.out.columns_from(4, 48);
    unaligned.q = unaligned.q.columns_from(0, 48);
    unaligned.options.query_heads = 3;
    unaligned.options.group = 2;
    told.run(unaligned);
    BOOST_TEST(offer.runs == before + 1);
    unaligned.out = example.call.out.columns_from(0, 48);
    told.run(unaligned);
    BOOST_TEST(offer.runs == before + 3, "two runs of heads");
  }
}

BOOST_AUTO_TEST_CASE(unknown_attention_is_noted_or_own_until_it_is_tuned) {
  offer.engines = {quick};
  const Example example(stream.raw());
  Attention attention = this->attention(AttentionBy::measured);
  attention.on_unknown(Unknown::note);
  attention.run(example.call);
  BOOST_TEST(attention.noted().size() == 1u);
  BOOST_TEST(algorithms.size() == 0u);
  attention.on_unknown(Unknown::tune);
  attention.run(example.call);
  BOOST_TEST(*algorithms.find(attention_section, "f32 16") == "cudnn 9.19.0 1 24=7");
  algorithms = Algorithms("somewhere");
  Attention untuned = this->attention(AttentionBy::measured);
  const std::int64_t before = offer.runs;
  untuned.run(example.call);
  BOOST_TEST(offer.runs == before);
  BOOST_TEST(*algorithms.find(attention_section, "f32 16") == "own");
  BOOST_TEST(untuned.told() == "");
}

BOOST_AUTO_TEST_CASE(by_force_and_unmeasured_the_first_engine_that_passes_is_taken) {
  offer.engines = {by_heads, right, quick};
  const Example example(stream.raw());
  attention(AttentionBy::cudnn).run(example.call);
  BOOST_TEST(*algorithms.find(attention_section, "f32 16") == "cudnn 9.19.0 0 24=7");
}

// Rows and sequences of several runs each find their places.
BOOST_AUTO_TEST_CASE(many_sequences_are_computed_in_turns) {
  constexpr std::int64_t count = 1030, size = 8, rows = 9000;
  std::vector<std::int32_t> host_starts;
  for (std::int32_t i = 0; i <= count; ++i) host_starts.push_back(i <= 1000 ? 3 * i : 3000 + (i - 1000) * 200);
  const Buffer in = device_buffer(0, rows * 3 * size * 4), starts = device_buffer(0, (count + 1) * 4);
  const Buffer own = device_buffer(0, rows * size * 2), out = device_buffer(0, rows * size * 2);
  Copies copies(stream.raw());
  std::vector<float> values(rows * 3 * size);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = std::sin(static_cast<float>(i * 7919 % 100003));
  const Tensor all = tensor::matrix(in.data(), DType::f32, rows, 3 * size);
  copies.upload(tensor::matrix(values.data(), DType::f32, rows, 3 * size), all);
  const Tensor there = tensor::row_vector(starts.data(), DType::i32, count + 1);
  copies.upload(tensor::row_vector(host_starts.data(), DType::i32, count + 1), there);
  AttentionCall call{.q = all.columns_from(0, size),
                     .k = all.columns_from(size, size),
                     .v = all.columns_from(2 * size, size),
                     .sequences = {there, count, 200, {}},
                     .options = {.query_heads = 1, .kv_heads = 1, .head_size = size, .scale = 0.3f},
                     .out = tensor::matrix(own.data(), DType::bf16, rows, size)};
  const Engine engine{quick, {{24, 7}}};
  std::vector<std::uint16_t> whole(rows * size), turns(rows * size);
  StandIn cudnn(stream.raw(), offer);
  Packing packing(0, stream.raw(), cudnn);
  packing.run(call, engine);
  copies.download(call.out, tensor::matrix(whole.data(), DType::bf16, rows, size));
  BOOST_TEST(offer.runs == 2);
  BOOST_TEST(offer.most_rows == rows);
  call.out.data = out.data();
  call.sequences.host_starts = host_starts;
  offer = {};
  packing.run(call, engine);
  copies.download(call.out, tensor::matrix(turns.data(), DType::bf16, rows, size));
  BOOST_TEST(offer.runs == 2);
  BOOST_TEST(offer.most_rows <= 8192);
  BOOST_TEST((whole == turns));
}

BOOST_AUTO_TEST_CASE(a_choice_that_this_machine_cannot_follow_ends_the_job) {
  const Example example(stream.raw());
  const auto refuses = [&](const char* words) {
    Attention attention = this->attention(AttentionBy::measured);
    BOOST_CHECK_EXCEPTION(attention.run(example.call), base::Error, [&](const base::Error& error) {
      BOOST_TEST_MESSAGE(error.what());
      return error.code() == base::Exit::config && std::string(error.what()).find(words) != std::string::npos;
    });
  };
  algorithms.add(attention_section, "f32 16", "cudnn 9.18.1 1 24=7");
  refuses("9.19.0");
  missing = true;
  refuses("is not there");
}

BOOST_AUTO_TEST_CASE(damaged_choices_are_refused) {
  Attention attention = this->attention(AttentionBy::measured);
  BOOST_CHECK_THROW(
      algorithms.merge("thresher cuda algorithms 2\nmachine somewhere\n[attention]\nf32 16 : cudnn\nend\n"),
      base::Error);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
