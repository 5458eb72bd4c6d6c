// A machine as the cost model sees it: what a node holds, and how fast its parts are.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "thresher/base/file.h"
#include "thresher/tensor/dtype.h"

namespace thresher::schedule {

// A rate that depends on a size: given at some sizes, interpolated over the size's logarithm between them, constant
// outside.
class Curve {
 public:
  Curve() = default;
  explicit Curve(double everywhere) : points_{{1, everywhere}} {}
  // Sizes rise, all numbers are positive.
  explicit Curve(std::vector<std::pair<double, double>> points) : points_(std::move(points)) {}
  double at(double size) const;
  bool empty() const { return points_.empty(); }

 private:
  std::vector<std::pair<double, double>> points_;
};

// FLOP/s of one device with all its cores, at one dtype.
struct Rates {
  Curve layers;     // the blocks' matrix products, by the model's width
  Curve head;       // the streamed head, by the model's width
  Curve attention;  // causal, by tokens of a sequence
};

// Time of a message of b bytes: latency + b / bandwidth. Seconds; bytes per second that one device sends.
struct Link {
  double latency = 0, bandwidth = 0;
};

struct Machine {
  std::string name;
  // A node's devices: "cuda": GPUs, a rank each. "cpu": parts of the node's cores (sockets, or the whole node as one);
  // ranks beyond the devices share them.
  std::string device = "cpu";
  int nodes = 1;
  int devices = 1;                 // of a node
  int cores = 1;                   // of a node
  std::int64_t device_memory = 0;  // bytes of each GPU; unused for "cpu"
  std::int64_t node_memory = 0;    // bytes
  std::int64_t tokens_per_batch = 1024;
  double exchange_bytes = 4;     // per number of a hidden state sent between ranks
  std::int64_t base_memory = 0;  // bytes of a rank without any model: program, libraries, MPI

  std::map<std::string, Rates, std::less<>> rates;   // by dtype
  double narrow_heads = 1;                           // factor of the attention rate for heads of 64 or less
  double elementwise = 0;                            // bytes/s of a device's vector steps
  double batch_overhead = 0;                         // seconds a batch and half layer that do not shrink with anything
  std::vector<double> shard_efficiency{1, 1, 1, 1};  // of products, with 1, 2, 4, 8 tensor shards
  double tokenize = 0;                               // tokens/s of a core; 0 = not counted

  double copy = 0, copy_node = 0;  // bytes/s from host memory to a GPU, to all of a node together; 0 = nothing streams
  Link inside, between;            // ranks of one node; ranks of two
  double storage_read = 0;         // bytes/s, all nodes together
  double storage_read_node = 0;    // bytes/s of one node
  double storage_write = 0;        // bytes/s of rank zero
  double device_watts = 0, node_watts = 0;  // busy; a node without its devices
  double price = 0;                         // of a node and hour, in any currency; 0 = not known

  bool shared_cores() const { return device == "cpu"; }
};

// Rates of a dtype. Throws base::Error (config) naming those there are.
const Rates& rates_of(const Machine& machine, tensor::DType dtype);

// A node with so many cores, for proportions only: an AVX-512 core's rates, memory copies as the link between ranks.
// `base_memory` and the rates are those of a 2-core workstation measured with `thresher bench`; memory is not set.
Machine ordinary_cpu(int cores);

// The same with GPUs: an H100's rates by its data sheet and published measurements (configs/h100x8.json), PCIe between
// the GPUs of a node.
Machine ordinary_gpu(int devices);

// A machine description: JSON as configs/README.md documents it. Throws base::Error: no_input, data (a field that is
// unknown, missing, of a wrong type or out of range).
Machine read_machine(base::FileSystem& files, const base::Path& path);
Machine parse_machine(std::string_view json, const std::string& name);

}  // namespace thresher::schedule
