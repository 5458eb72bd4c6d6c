#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "comm/nccl_communicator.h"
#include "thresher/comm/nccl.h"

namespace thresher::comm {
namespace {

using tensor::DType;
using tensor::Tensor;

std::size_t elements_of(const Tensor& x) {
  return static_cast<std::size_t>(x.elements());
}

void expect_dense(const Tensor& x, bool right_type) {
  if (right_type && (x.stride == x.columns || x.rows == 1)) return;
  base::fail(base::Exit::internal, fmt::format("a sum over ranks of a {} tensor {} x {} with stride {}",
                                               tensor::name_of(x.dtype), x.rows, x.columns, x.stride));
}

class NcclSums : public DeviceSums {
 public:
  NcclSums(Comm& ranks, device::Device& device, const NcclSumsOptions& options)
      : device_(device),
        queue_(static_cast<cudaStream_t>(device.queue())),
        scratch_(device.allocate(options.scratch_bytes)),
        communicator_(ranks, options.whose, NcclEnds::last) {}

  int size() const override { return communicator_.size(); }

  void add_up(const Tensor& x) override {
    expect_dense(x, x.dtype == DType::f32);
    if (x.elements() == 0) return;
    device_.queue();
    device_.time(seconds_, [&] { add_up_by_tree(x); });
  }

  // Sums of whole numbers: no two ranks have bits in one place.
  void unite(const Tensor& x) override {
    expect_dense(x, x.dtype == DType::f32 || x.dtype == DType::i32);
    if (x.elements() == 0) return;
    device_.queue();
    device_.time(seconds_, [&] {
      communicator_.group("uniting bits", [&](const NcclLibrary& nccl, ncclComm_t comm) {
        return nccl.all_reduce(x.data, x.data, elements_of(x), ncclUint32, ncclSum, comm, queue_);
      });
    });
  }

  double seconds() const override { return seconds_; }

 private:
  // As many rows at a time as all other ranks' copies of a share have room for in the scratch.
  void add_up_by_tree(const Tensor& x) {
    const std::int64_t row_bytes = x.columns * tensor::size_of(x.dtype), others = size() - 1;
    const std::int64_t share = scratch_.bytes() / (others * row_bytes);
    if (share == 0)
      base::fail(base::Exit::internal,
                 fmt::format("{} bytes of scratch for {} rows of {} bytes", scratch_.bytes(), others, row_bytes));
    for (std::int64_t first = 0, rows = 0; first < x.rows; first += rows) {
      rows = std::min(share * size(), x.rows - first);
      add_up_rows(x.rows_from(first, rows));
    }
  }

  // Each rank gets one share of the rows from all, adds it up, and gives it to all: the traffic of a ring.
  void add_up_rows(const Tensor& x) {
    const Tensor own = share_of(x, communicator_.rank());
    std::vector<Tensor> parts;
    auto* place = static_cast<char*>(scratch_.data());
    for (int rank = 0; rank < size(); ++rank) {
      const bool mine = rank == communicator_.rank();
      parts.push_back(mine ? own : tensor::matrix(place, x.dtype, own.rows, own.columns));
      if (!mine) place += own.elements() * tensor::size_of(x.dtype);
    }
    trade("exchanging parts of sums", [&](int peer) { return std::pair(share_of(x, peer), parts[peer]); });
    if (own.elements() > 0) add_up_parts(parts);
    trade("exchanging sums", [&](int peer) { return std::pair(own, share_of(x, peer)); });
  }

  Tensor share_of(const Tensor& x, int rank) const {
    const std::int64_t begin = x.rows * rank / size(), end = x.rows * (rank + 1) / size();
    return x.rows_from(begin, end - begin);
  }

  // `tensors(peer)`: what this rank sends to it and receives from it.
  template <class Tensors>
  void trade(const char* doing, const Tensors& tensors) {
    communicator_.group(doing, [&](const NcclLibrary& nccl, ncclComm_t comm) {
      ncclResult_t result = ncclSuccess;
      const auto went_well = [&] { return result == ncclSuccess || result == ncclInProgress; };
      for (int peer = 0; peer < size() && went_well(); ++peer) {
        if (peer == communicator_.rank()) continue;
        const auto [out, in] = tensors(peer);
        if (out.elements() > 0) result = nccl.send(out.data, elements_of(out), ncclFloat32, peer, comm, queue_);
        if (in.elements() > 0 && went_well())
          result = nccl.recv(in.data, elements_of(in), ncclFloat32, peer, comm, queue_);
      }
      return result;
    });
  }

  // Neighbours first, ((0+1)+(2+3))+((4+5)+(6+7)); this rank's own part, which is in every sum once, becomes the
  // result.
  void add_up_parts(std::vector<Tensor> parts) {
    int own = communicator_.rank();
    while (parts.size() > 1) {
      std::vector<Tensor> sums;
      for (int low = 0; low < static_cast<int>(parts.size()); low += 2) {
        const int kept = own == low + 1 ? low + 1 : low, other = kept == low ? low + 1 : low;
        device_.add(parts[static_cast<std::size_t>(other)], {}, parts[static_cast<std::size_t>(kept)]);
        sums.push_back(parts[static_cast<std::size_t>(kept)]);
      }
      parts = std::move(sums);
      own /= 2;
    }
  }

  device::Device& device_;
  const cudaStream_t queue_;
  tensor::Buffer scratch_;
  double seconds_ = 0;
  NcclCommunicator communicator_;  // ends before the memory that it uses
};

}  // namespace

std::unique_ptr<DeviceSums> nccl_sums(Comm& ranks, device::Device& device, const NcclSumsOptions& options) {
  return std::make_unique<NcclSums>(ranks, device, options);
}

}  // namespace thresher::comm
