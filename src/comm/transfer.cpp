#include "comm/transfer.h"

#include <utility>

#include "comm/mpi_call.h"

namespace thresher::comm {
namespace {

// Memory that MPI may touch until the process ends, known to whoever looks for memory that was lost.
void keep_for_ever(std::byte* memory) {
  static auto* const kept = new std::vector<std::byte*>;
  kept->push_back(memory);
}

}  // namespace

Transfer::~Transfer() {
  if (idle()) return;
  std::lock_guard lock(mpi_lock());
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (receiving_[i] && requests_[i] != MPI_REQUEST_NULL) MPI_Cancel(&requests_[i]);
  }
  // A receive that nobody has answered is cancelled at the first look; what is half-way may get through.
  for (int looks = 0; looks < 100 && !idle(); ++looks) advance();
  if (idle()) return;
  for (MPI_Request& request : requests_) {
    if (request != MPI_REQUEST_NULL) MPI_Request_free(&request);
  }
  keep_for_ever(memory_.release());
}

std::byte* Transfer::reserve(std::size_t bytes) {
  constexpr std::size_t line = 64;
  if (bytes > capacity_ || !memory_) {
    const std::size_t rounded = (bytes / line + 1) * line;
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(line, rounded)));
    capacity_ = memory_ ? rounded : 0;
    if (!memory_) throw std::bad_alloc();
  }
  return memory_.get();
}

MPI_Request& Transfer::next(bool receiving) {
  if (idle()) {
    requests_.clear();
    receiving_.clear();
  }
  receiving_.push_back(receiving);
  requests_.push_back(MPI_REQUEST_NULL);
  ++under_way_;
  return requests_.back();
}

void Transfer::send(MPI_Comm comm, int to, int tag, std::size_t start, std::size_t bytes) {
  check(MPI_Isend(data() + start, static_cast<int>(bytes), MPI_BYTE, to, tag, comm, &next(false)));
}

void Transfer::receive(MPI_Comm comm, int from, int tag, std::size_t start, std::size_t bytes) {
  check(MPI_Irecv(data() + start, static_cast<int>(bytes), MPI_BYTE, from, tag, comm, &next(true)));
}

void Transfer::receive(MPI_Message message, std::size_t bytes) {
  check(MPI_Imrecv(data(), static_cast<int>(bytes), MPI_BYTE, &message, &next(true)));
}

bool Transfer::advance() {
  const int count = static_cast<int>(requests_.size());
  indices_.resize(requests_.size());
  statuses_.resize(requests_.size());
  int finished = 0;
  check(MPI_Testsome(count, requests_.data(), &finished, indices_.data(), statuses_.data()));
  if (finished == MPI_UNDEFINED) finished = 0;
  for (int i = 0; i < finished; ++i) {
    int bytes = 0;
    if (!receiving_[indices_[i]]) continue;
    check(MPI_Get_count(&statuses_[i], MPI_BYTE, &bytes));
    if (bytes > 0) received_ += static_cast<std::size_t>(bytes);
  }
  under_way_ -= finished;
  return finished > 0;
}

}  // namespace thresher::comm
