#include "thresher/comm/comm.h"

namespace thresher::comm {
namespace {

class SelfComm : public Comm {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void barrier() override {}
  void broadcast(std::string&, int) override {}
  std::vector<std::string> all_gather(const std::string& bytes) override { return {bytes}; }
};

}  // namespace

std::unique_ptr<Comm> self_comm() {
  return std::make_unique<SelfComm>();
}

}  // namespace thresher::comm
