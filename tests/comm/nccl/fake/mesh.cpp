#include "comm/nccl/fake/mesh.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace thresher::fake_nccl {
namespace {

// In Linux's namespace of sockets without files.
socklen_t address_of(const std::string& name, int rank, sockaddr_un& address) {
  address = {};
  address.sun_family = AF_UNIX;
  const std::string path = name + "." + std::to_string(rank);
  if (path.size() + 1 > sizeof address.sun_path) throw std::logic_error("the name of a communicator is too long");
  std::memcpy(address.sun_path + 1, path.data(), path.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
}

int make_socket() {
  return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

}  // namespace

Mesh::Mesh(std::string name, int rank, int size)
    : name_(std::move(name)), rank_(rank), door_(make_socket()), peers_(static_cast<std::size_t>(size)) {
  sockaddr_un address;
  const socklen_t length = address_of(name_, rank_, address);
  if (bind(door_, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(door_, 64) != 0)
    throw std::logic_error("a rank is twice in a communicator");
}

Mesh::~Mesh() {
  for (const Peer& peer : peers_)
    if (peer.socket >= 0) close(peer.socket);
  close(door_);
}

bool Mesh::connected() {
  accept_others();
  bool all = true;
  for (int rank = 0; rank < static_cast<int>(peers_.size()); ++rank) {
    Peer& peer = peers_[static_cast<std::size_t>(rank)];
    if (rank < rank_ && peer.socket < 0) {
      sockaddr_un address;
      const socklen_t length = address_of(name_, rank, address);
      const int made = make_socket();
      if (connect(made, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
          ::send(made, &rank_, sizeof rank_, MSG_NOSIGNAL) == sizeof rank_)
        peer.socket = made;
      else
        close(made);
    }
    all = all && (rank == rank_ || peer.socket >= 0);
  }
  return all;
}

void Mesh::accept_others() {
  for (;;) {
    const int made = accept4(door_, nullptr, nullptr, SOCK_CLOEXEC);
    if (made < 0) return;
    int rank = -1;
    if (recv(made, &rank, sizeof rank, MSG_WAITALL) != sizeof rank || rank <= rank_ ||
        rank >= static_cast<int>(peers_.size())) {
      close(made);
      continue;
    }
    peers_[static_cast<std::size_t>(rank)].socket = made;
  }
}

void Mesh::post(int peer, const void* data, std::size_t bytes) {
  peers_[static_cast<std::size_t>(peer)].out.append(static_cast<const char*>(data), bytes);
}

void Mesh::advance() {
  for (Peer& peer : peers_) {
    if (peer.socket < 0) continue;
    send(peer);
    receive(peer);
  }
}

bool Mesh::flushed() const {
  for (const Peer& peer : peers_)
    if (!peer.out.empty() && !peer.gone) return false;
  return true;
}

void Mesh::send(Peer& peer) {
  std::size_t sent = 0;
  while (sent < peer.out.size()) {
    const ssize_t bytes =
        ::send(peer.socket, peer.out.data() + sent, peer.out.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes < 0 && errno != EAGAIN && errno != EINTR) peer.gone = true;
    if (bytes <= 0) break;
    sent += static_cast<std::size_t>(bytes);
  }
  peer.out.erase(0, sent);
}

void Mesh::receive(Peer& peer) {
  std::vector<char> piece(1 << 16);
  for (;;) {
    const ssize_t bytes = recv(peer.socket, piece.data(), piece.size(), MSG_DONTWAIT);
    if (bytes > 0) {
      peer.in.append(piece.data(), static_cast<std::size_t>(bytes));
      continue;
    }
    if (bytes == 0 || (errno != EAGAIN && errno != EINTR)) peer.gone = true;
    return;
  }
}

}  // namespace thresher::fake_nccl
