#include <algorithm>
#include <cstdint>
#include <numeric>

#include "comm/mpi_call.h"
#include "thresher/comm/comm.h"

namespace thresher::comm {
namespace {

// Collective exchanges are small (options, reports): one MPI call with int counts each.
class MpiComm : public Comm {
 public:
  MpiComm() {
    check(MPI_Comm_rank(comm_.raw(), &rank_));
    check(MPI_Comm_size(comm_.raw(), &size_));
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void barrier() override { check(MPI_Barrier(comm_.raw())); }

  void broadcast(std::string& bytes, int root) override {
    std::uint64_t length = bytes.size();
    check(MPI_Bcast(&length, 1, MPI_UINT64_T, root, comm_.raw()));
    bytes.resize(length);
    constexpr std::uint64_t piece = 1u << 30;
    for (std::uint64_t done = 0; done < length; done += piece) {
      const int count = static_cast<int>(std::min(piece, length - done));
      check(MPI_Bcast(bytes.data() + done, count, MPI_BYTE, root, comm_.raw()));
    }
  }

  std::vector<std::string> all_gather(const std::string& bytes) override {
    int length = static_cast<int>(bytes.size());
    std::vector<int> lengths(size_), starts(size_);
    check(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, comm_.raw()));
    std::exclusive_scan(lengths.begin(), lengths.end(), starts.begin(), 0);
    std::string all(static_cast<std::size_t>(starts.back() + lengths.back()), '\0');
    check(MPI_Allgatherv(bytes.data(), length, MPI_BYTE, all.data(), lengths.data(), starts.data(), MPI_BYTE,
                         comm_.raw()));
    std::vector<std::string> parts;
    for (int r = 0; r < size_; ++r) parts.push_back(all.substr(starts[r], lengths[r]));
    return parts;
  }

 private:
  OwnComm comm_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace

std::unique_ptr<Comm> mpi_comm() {
  return std::make_unique<MpiComm>();
}

}  // namespace thresher::comm
