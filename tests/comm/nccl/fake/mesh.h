// Bytes between the ranks of a communicator: a socket between any two, no call of which waits.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace thresher::fake_nccl {

class Mesh {
 public:
  // `name`: of the communicator, known to all its ranks.
  Mesh(std::string name, int rank, int size);
  ~Mesh();
  Mesh(const Mesh&) = delete;

  // All ranks have found each other; looks for more of them.
  bool connected();
  void post(int peer, const void* data, std::size_t bytes);
  // Moves what can be moved.
  void advance();
  // Everything posted has left.
  bool flushed() const;
  // What has come from the peer and was not taken.
  std::string& inbox(int peer) { return peers_[static_cast<std::size_t>(peer)].in; }
  // The peer's end is closed.
  bool gone(int peer) const { return peers_[static_cast<std::size_t>(peer)].gone; }

 private:
  struct Peer {
    int socket = -1;
    bool gone = false;
    std::string in, out;
  };
  void accept_others();
  void receive(Peer& peer);
  void send(Peer& peer);

  const std::string name_;
  const int rank_;
  int door_;
  std::vector<Peer> peers_;
};

}  // namespace thresher::fake_nccl
