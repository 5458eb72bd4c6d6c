// Attention by the own kernel or by cuDNN: one choice for a whole job, since the bits depend on it.
//
// cuDNN's engine has to give a sequence the same bits alone, in company, in any bucket and with any other heads, and to
// agree with the own kernel; that is tried on the spot. It computes in bf16: rows of f32, which the own kernel takes as
// sums of two numbers, are rounded first. What it cannot be given (a window, other output than bf16, heads of odd
// sizes) goes to the own kernel, by what is alike for all of a model's calls.
#pragma once

#include <functional>
#include <map>
#include <set>

#include "device/cuda/algorithms.h"
#include "device/cuda/runtime/attention_trial.h"

namespace thresher::device::cuda {

struct TunedAttention {
  AttentionChoice choice;
  double seconds = 0;      // of the trial's batches
  double own_seconds = 0;  // what the own kernel takes for them
  double flop = 0;
  std::string note;  // why it is the own kernel
};

class Attention {
 public:
  using Make = std::function<std::unique_ptr<PackedAttention>(std::string& trouble)>;

  // `algorithms` must outlive this. `make` finds cuDNN, on the first need.
  Attention(int gpu, cudaStream_t stream, Algorithms& algorithms, AttentionBy by, Make make, TrialSizes sizes = {});

  void run(const AttentionCall& call);

  void on_unknown(Unknown what);
  // Since the last `on_unknown`.
  const std::set<AttentionKey>& noted() const { return noted_; }
  // For people: which attention is known to be cuDNN's; empty where none is.
  std::string told() const;
  // Measures what may be measured and takes the faster. Waits for the GPU.
  TunedAttention tune(const AttentionKey& key);

 private:
  // Null: the own kernel.
  const Engine* engine(const AttentionCall& call);
  TunedAttention decide(const AttentionKey& key, bool timed);
  // Of the engines that pass, the fastest, or the first: what is taken untimed is the same everywhere.
  TunedAttention tried(const AttentionKey& key, bool timed);
  // Why the engine cannot be taken; else `seconds`, if asked for, says what it takes.
  std::optional<std::string> refusal(AttentionTrial& trial, const AttentionKey& key, const Engine& engine,
                                     double* seconds);
  void take(const AttentionKey& key, const AttentionChoice& choice);
  bool find_cudnn();
  AttentionChoice given(const AttentionKey& key, const std::string& text);

  int gpu_;
  cudaStream_t stream_;
  Algorithms& algorithms_;
  AttentionBy by_;
  Make make_;
  TrialSizes sizes_;
  std::unique_ptr<PackedAttention> cudnn_;
  std::unique_ptr<Packing> packing_;
  std::string trouble_;
  std::map<AttentionKey, AttentionChoice> choices_;  // in use
  std::set<AttentionKey> noted_;
  Unknown unknown_ = Unknown::choose;
};

}  // namespace thresher::device::cuda
