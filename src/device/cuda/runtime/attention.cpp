#include "device/cuda/runtime/attention.h"

#include <fmt/format.h>

#include "device/cuda/kernels/kernels.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

constexpr std::int64_t greatest_workspace = std::int64_t{64} << 20;
constexpr std::size_t most_engines = 2;  // to try: each compiles for seconds
constexpr std::int64_t alignment = 16;   // bytes, of rows that cuDNN reads or writes

bool aligned(const Tensor& x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % alignment == 0 &&
         x.stride * tensor::size_of(x.dtype) % alignment == 0;
}

// Whether cuDNN can be given the call at all: by what all calls of a model share, never by its sequences.
bool servable(const AttentionCall& call) {
  const bool rounded = call.q.dtype == DType::f32;
  return call.out.dtype == DType::bf16 && aligned(call.out) && call.options.window == 0 &&
         serves_head(call.options.head_size) &&
         (rounded || (call.q.dtype == DType::bf16 && aligned(call.q) && aligned(call.k) && aligned(call.v)));
}

// A bucket like those that the trial measures.
PackedShape usual_shape(const AttentionKey& key) {
  constexpr std::int64_t heads = 16, kv = 4;
  const std::int64_t row = (heads + 2 * kv) * key.head_size;
  return {.query_heads = heads,
          .kv_heads = kv,
          .head_size = key.head_size,
          .strides = {row, row, row, heads * key.head_size},
          .sequences = sequences_bucket(1),
          .rows = rows_bucket(2048)};
}

}  // namespace

Attention::Attention(int gpu, cudaStream_t stream, Algorithms& algorithms, AttentionBy by, Make make, TrialSizes sizes)
    : gpu_(gpu), stream_(stream), algorithms_(algorithms), by_(by), make_(std::move(make)), sizes_(std::move(sizes)) {
  algorithms_.know(attention_section, [](std::string_view key, std::string_view choice) {
    return read_attention_key(key) && read_attention_choice(choice);
  });
}

void Attention::run(const AttentionCall& call) {
  if (const Engine* chosen = engine(call))
    packing_->run(call, *chosen);
  else
    attend(call.q, call.k, call.v, call.sequences, call.options, call.out, stream_);
}

void Attention::on_unknown(Unknown what) {
  unknown_ = what;
  noted_.clear();
}

std::string Attention::told() const {
  std::string text;
  for (const auto& [key, choice] : algorithms_.choices(attention_section))
    if (choice != text_of(AttentionChoice{})) text += fmt::format(", attention {} by {}", key, choice);
  return text;
}

const Engine* Attention::engine(const AttentionCall& call) {
  if (!servable(call) || call.out.rows == 0 || call.options.query_heads == 0) return nullptr;
  const AttentionKey key{call.q.dtype, call.options.head_size};
  auto found = choices_.find(key);
  if (found == choices_.end()) {
    if (const std::string* text = algorithms_.find(attention_section, text_of(key))) {
      found = choices_.emplace(key, given(key, *text)).first;
    } else if (unknown_ == Unknown::note) {
      noted_.insert(key);
      return nullptr;
    } else {
      decide(key, unknown_ == Unknown::tune);
      found = choices_.find(key);
    }
  }
  return found->second.engine ? &*found->second.engine : nullptr;
}

AttentionChoice Attention::given(const AttentionKey& key, const std::string& text) {
  AttentionChoice choice = *read_attention_choice(text);
  if (!choice.engine) return choice;
  const std::string here = find_cudnn() ? "cuDNN " + cudnn_->version() : trouble_;
  if (!cudnn_ || cudnn_->version() != choice.version)
    base::fail(base::Exit::config,
               fmt::format("attention over heads of {} numbers is computed by cuDNN {} in this job; here: {}",
                           key.head_size, choice.version, here));
  return choice;
}

bool Attention::find_cudnn() {
  if (!cudnn_ && trouble_.empty()) {
    cudnn_ = make_(trouble_);
    if (cudnn_) packing_ = std::make_unique<Packing>(gpu_, stream_, *cudnn_);
  }
  return cudnn_ != nullptr;
}

TunedAttention Attention::tune(const AttentionKey& key) {
  return decide(key, true);
}

TunedAttention Attention::decide(const AttentionKey& key, bool timed) {
  TunedAttention tuned;
  if (by_ == AttentionBy::measured && !timed) {
    tuned.note = "it is not measured";
  } else if (by_ == AttentionBy::own) {
    tuned.note = "THRESHER_ATTENTION=own";
  } else if (!find_cudnn()) {
    tuned.note = trouble_;
  } else {
    tuned = tried(key, timed);
  }
  if (by_ == AttentionBy::cudnn && !tuned.choice.engine)
    base::fail(base::Exit::unavailable,
               fmt::format("THRESHER_ATTENTION=cudnn, but cuDNN cannot compute attention over heads of {} numbers: {}",
                           key.head_size, tuned.note));
  take(key, tuned.choice);
  return tuned;
}

void Attention::take(const AttentionKey& key, const AttentionChoice& choice) {
  algorithms_.add(attention_section, text_of(key), text_of(choice));
  choices_.emplace(key, choice);
}

TunedAttention Attention::tried(const AttentionKey& key, bool timed) {
  TunedAttention tuned;
  tuned.note = "cuDNN has no engine for it";
  AttentionTrial trial(gpu_, stream_, *packing_, key, sizes_);
  if (timed) tuned.seconds = tuned.own_seconds = trial.seconds(nullptr);
  tuned.flop = trial.flop();
  std::vector<Engine> engines = cudnn_->engines(usual_shape(key));
  if (engines.size() > most_engines) engines.resize(most_engines);
  for (const Engine& engine : engines) {
    const bool first = !tuned.choice.engine;
    if (!first && !timed) break;
    double seconds = 0;
    if (const auto objection = refusal(trial, key, engine, timed ? &seconds : nullptr)) {
      if (first) tuned.note = fmt::format("cuDNN's engine {} is refused: {}", text_of(engine), *objection);
    } else if (seconds < tuned.seconds || (by_ == AttentionBy::cudnn && first)) {
      tuned.seconds = seconds;
      tuned.choice = {.engine = engine, .version = cudnn_->version()};
      tuned.note.clear();
    } else if (first) {
      tuned.note = fmt::format("cuDNN's engine {} takes {:.3g} ms", text_of(engine), seconds * 1e3);
    }
  }
  return tuned;
}

std::optional<std::string> Attention::refusal(AttentionTrial& trial, const AttentionKey& key, const Engine& engine,
                                              double* seconds) {
  try {
    if (const std::int64_t bytes = cudnn_->prepare(usual_shape(key), engine); bytes > greatest_workspace)
      return fmt::format("it needs {} bytes of memory, at most {} are allowed", bytes, greatest_workspace);
    if (const auto objection = trial.objection(engine)) return objection;
    if (seconds) *seconds = trial.seconds(&engine);
  } catch (const base::Error& error) {
    return error.what();
  }
  return std::nullopt;
}

}  // namespace thresher::device::cuda
