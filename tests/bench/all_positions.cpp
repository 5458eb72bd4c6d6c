// The log-probability of every token of documents, through libllama: what compare_llama.py times next to `thresher
// score`. Compiled by it against llama.h of llama.cpp, or of ik_llama.cpp with -DIK_LLAMA.
//
//   all_positions MODEL.gguf IDS DOCUMENTS LENGTH TOGETHER UBATCH FLASH REPACK BF16_CACHE THREADS LOGPROBS
//
// IDS holds int32 ids, DOCUMENTS of LENGTH each. TOGETHER documents make a call of llama_decode, UBATCH tokens a batch
// inside of it. LOGPROBS gets LENGTH - 1 floats a document. Prints the seconds from the first document to the last,
// with a document scored before.
#include <llama.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace {

struct Job {
  std::string model, ids, logprobs;
  int documents, length, together, ubatch, threads;
  bool flash, repack, bf16_cache;
};

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "all_positions: %s\n", what.c_str());
  std::exit(1);
}

llama_context* open(const Job& job) {
  llama_model_params model_params = llama_model_default_params();
#ifdef IK_LLAMA
  model_params.repack_tensors = job.repack;
  model_params.use_mmap = !job.repack;
  model_params.flash_attn = job.flash;
#endif
  llama_model* const model = llama_model_load_from_file(job.model.c_str(), model_params);
  if (!model) fail("cannot load " + job.model);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(job.together * job.length);
  params.n_batch = params.n_ctx;
  params.n_ubatch = static_cast<std::uint32_t>(job.ubatch);
  params.n_seq_max = static_cast<std::uint32_t>(job.together);
  params.n_threads = params.n_threads_batch = job.threads;
  if (job.bf16_cache) params.type_k = params.type_v = GGML_TYPE_BF16;
#ifdef IK_LLAMA
  params.flash_attn = job.flash;
#else
  params.flash_attn_type = job.flash ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
#endif
  llama_context* const context = llama_init_from_model(model, params);
  if (!context) fail("cannot make a context");
  return context;
}

void clear(llama_context* context) {
#ifdef IK_LLAMA
  llama_kv_cache_clear(context);
#else
  llama_memory_clear(llama_get_memory(context), true);
#endif
}

int vocabulary_of(const llama_context* context) {
#ifdef IK_LLAMA
  return llama_n_vocab(llama_get_model(context));
#else
  return llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
#endif
}

float log_softmax_at(const float* logits, int count, llama_token target) {
  float most = logits[0];
#pragma omp simd reduction(max : most)
  for (int i = 0; i < count; ++i) most = std::max(most, logits[i]);
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int i = 0; i < count; ++i) sum += std::exp(logits[i] - most);
  return logits[target] - most - std::log(sum);
}

// The documents [first, first + count): one llama_decode, then the log-softmax over its logits.
void score(llama_context* context, const Job& job, const std::vector<llama_token>& ids, int first, int count,
           llama_batch& batch, std::vector<float>& logprobs) {
  batch.n_tokens = 0;
  for (int d = 0; d < count; ++d) {
    for (int t = 0; t < job.length; ++t) {
      const int i = batch.n_tokens++;
      batch.token[i] = ids[static_cast<std::size_t>(first + d) * job.length + t];
      batch.pos[i] = t;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = d;
      batch.logits[i] = t + 1 < job.length;  // nothing follows the last token
    }
  }
  clear(context);
  if (llama_decode(context, batch) != 0) fail("llama_decode failed");
  const float* const logits = llama_get_logits(context);
  const int vocabulary = vocabulary_of(context), scored = job.length - 1;
#pragma omp parallel for schedule(static) num_threads(job.threads)
  for (int row = 0; row < count * scored; ++row) {
    const int d = row / scored, t = row % scored;
    const llama_token target = ids[static_cast<std::size_t>(first + d) * job.length + t + 1];
    logprobs[static_cast<std::size_t>(first + d) * scored + t] =
        log_softmax_at(logits + static_cast<std::size_t>(row) * vocabulary, vocabulary, target);
  }
}

std::vector<llama_token> read_ids(const Job& job) {
  std::vector<llama_token> ids(static_cast<std::size_t>(job.documents) * job.length);
  const auto bytes = static_cast<std::streamsize>(ids.size() * sizeof(llama_token));
  std::ifstream file(job.ids, std::ios::binary);
  if (!file.read(reinterpret_cast<char*>(ids.data()), bytes)) fail("cannot read the ids from " + job.ids);
  return ids;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 12) fail("needs eleven arguments");
  const auto number = [&](int i) { return std::atoi(argv[i]); };
  Job job;
  job.model = argv[1];
  job.ids = argv[2];
  job.documents = number(3);
  job.length = number(4);
  job.together = number(5);
  job.ubatch = number(6);
  job.flash = number(7) != 0;
  job.repack = number(8) != 0;
  job.bf16_cache = number(9) != 0;
  job.threads = number(10);
  job.logprobs = argv[11];
  const std::vector<llama_token> ids = read_ids(job);
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  llama_context* const context = open(job);
  llama_batch batch = llama_batch_init(job.together * job.length, 0, 1);
  std::vector<float> logprobs(static_cast<std::size_t>(job.documents) * (job.length - 1));
  score(context, job, ids, 0, 1, batch, logprobs);
  const auto start = std::chrono::steady_clock::now();
  for (int first = 0; first < job.documents; first += job.together)
    score(context, job, ids, first, std::min(job.together, job.documents - first), batch, logprobs);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  std::ofstream(job.logprobs, std::ios::binary)
      .write(reinterpret_cast<const char*>(logprobs.data()),
             static_cast<std::streamsize>(logprobs.size() * sizeof(float)));
  std::printf("%.6f\n", seconds.count());
  llama_free(context);
  return 0;
}
