// One scoring job, from corpus to published results: what `thresher score` runs on every rank.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/base/file.h"
#include "thresher/comm/comm.h"
#include "thresher/comm/grid.h"
#include "thresher/comm/mailbox.h"
#include "thresher/model/streaming.h"
#include "thresher/schedule/output_mode.h"
#include "thresher/store/import.h"
#include "thresher/tensor/dtype.h"

namespace thresher::schedule {

enum class Bos : std::uint8_t { automatic, always, never };
enum class PrefixToken : std::uint8_t { none, bos, eos };
// Who reads the model's files: every rank its part, or one rank for all replicas, which hear it from that one.
enum class LoadMode : std::uint8_t { automatic, each, broadcast };

enum class DeviceKind : std::uint8_t { cpu, cuda };
// Whether each thread that computes stays on a core of its own; automatic: where the job uses all cores there are.
enum class Pin : std::uint8_t { automatic, on, off };
// Of tensors between GPUs; automatic: NCCL where it can be.
enum class GpuTransport : std::uint8_t { automatic, nccl, host };

// Zero stands for "choose" where a number is optional.
struct Job {
  base::Path model;
  std::vector<std::string> corpus;     // one HDF5 corpus, or text / JSONL files and globs (imported into the output)
  base::Path output;                   // run directory
  std::optional<tensor::DType> dtype;  // default: bf16, or f32 where the model's weights are f32
  bool int8_head = false;              // with dtype i8
  std::optional<comm::Layout> layout;  // default: chosen
  bool tp_exact = true;                // the same bits for every number of tensor shards
  LoadMode load = LoadMode::automatic;
  DeviceKind device = DeviceKind::cpu;
  model::Streaming streaming = model::Streaming::automatic;
  bool share_gpus = false;     // ranks may compute on one GPU together
  bool share_prefixes = true;  // documents that begin alike compute that once; changes no bit
  GpuTransport gpu_transport = GpuTransport::automatic;
  std::optional<OutputMode> output_mode;  // default: by the predicted size of the results
  double watchdog = 40;                   // seconds that a rank may be silent, 0 = for ever
  int threads = 0;                        // default: cores / ranks on this host
  Pin pin = Pin::automatic;               // with the CPU device
  std::int64_t tokens_per_batch = 0;
  std::int64_t window = 0;  // default: the model's positions
  std::int64_t stride = 0;  // default: half a window
  Bos bos = Bos::automatic;
  PrefixToken prefix = PrefixToken::none;
  bool per_token = false;
  std::int32_t top_k = 0;
  std::int64_t shard_documents = 512;
  std::int64_t shard_bytes = 0;  // default: corpus / 1024 within 256 KiB .. 64 MiB
  std::optional<std::int64_t> max_rejects;
  bool fresh = false;
  std::optional<double> max_time;  // seconds after which everything has to be committed; default: what Slurm leaves
  double grace = 20;               // seconds from the first signal to the end
  double progress_every = 30;      // seconds between progress lines where there is no terminal
  store::ImportOptions import;     // how to read a corpus that is not HDF5; the field names of pairs
  std::vector<std::pair<std::string, std::string>> options;  // every option as resolved, for run.json
  std::string command;                                       // the command line, for run.json
};

// The ranks of the job.
struct World {
  comm::Comm& comm;
  comm::Mailbox& mailbox;
};

// Collective. Runs or continues the job and returns the exit code: ok, failures when more documents failed than
// max_rejects allows, or again when it stopped early and committed what it had. Signals have to be caught
// (base::catch_signals). Throws base::Error on every rank alike, so that all can leave through MPI_Finalize.
base::Exit run_job(const Job& job, World world);

}  // namespace thresher::schedule
