#include "model/contents.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "thresher/base/check.h"

namespace thresher::model {
namespace {

void add_digest(base::Hasher& hasher, const base::Digest& part) {
  hasher.add(std::as_bytes(std::span(part.bytes)));
}

// One piece on the wire.
struct PieceRecord {
  std::int64_t name_bytes = 0;
  std::int64_t piece = 0;
  base::Digest digest;
};

}  // namespace

Contents::Contents(const Checkpoint& checkpoint, const std::map<std::string, Slot>& tensors,
                   const ModelConfig& config) {
  for (const auto& [name, slot] : tensors) {
    const StoredTensor& stored = checkpoint.find(name)->tensor;
    tensors_[name] = {.label = fmt::format("{}\n{}\n{} ", name, stored.dtype, fmt::join(stored.shape, " ")),
                      .pieces = tensor_pieces(slot, config).count(),
                      .known = {}};
  }
}

void Contents::add(const std::string& tensor, std::int64_t piece, const base::Digest& digest) {
  const auto found = tensors_.find(tensor);
  if (found == tensors_.end() || piece < 0 || piece >= found->second.pieces)
    base::fail(base::Exit::internal, fmt::format("piece {} of tensor \"{}\" is no part of the model", piece, tensor));
  const auto [known, is_new] = found->second.known.emplace(piece, digest);
  if (!is_new && !(known->second == digest))
    base::fail(base::Exit::data, fmt::format("tensor \"{}\" was read with different values: {} and {}; the ranks see "
                                             "different files, or the file changed meanwhile",
                                             tensor, known->second.hex(), digest.hex()));
}

std::string Contents::pack() const {
  std::string bytes;
  for (const auto& [name, tensor] : tensors_)
    for (const auto& [piece, digest] : tensor.known) {
      const PieceRecord record{static_cast<std::int64_t>(name.size()), piece, digest};
      bytes.append(reinterpret_cast<const char*>(&record), sizeof record);
      bytes += name;
    }
  return bytes;
}

void Contents::merge(std::string_view packed) {
  while (!packed.empty()) {
    PieceRecord record;
    std::memcpy(&record, packed.data(), sizeof record);
    packed.remove_prefix(sizeof record);
    add(std::string(packed.substr(0, static_cast<std::size_t>(record.name_bytes))), record.piece, record.digest);
    packed.remove_prefix(static_cast<std::size_t>(record.name_bytes));
  }
}

base::Digest Contents::content(const std::string& name, const Tensor& tensor) const {
  if (static_cast<std::int64_t>(tensor.known.size()) != tensor.pieces)
    base::fail(base::Exit::internal,
               fmt::format("{} of the {} pieces of tensor \"{}\" were read", tensor.known.size(), tensor.pieces, name));
  base::Hasher hasher;
  for (const auto& [piece, digest] : tensor.known) add_digest(hasher, digest);
  return hasher.digest();
}

bool Contents::equal(const std::string& a, const std::string& b) const {
  const Tensor &first = tensors_.at(a), &second = tensors_.at(b);
  return first.label.substr(a.size()) == second.label.substr(b.size()) && content(a, first) == content(b, second);
}

base::Digest Contents::digest(std::string_view config_text) const {
  base::Hasher hasher;
  add_digest(hasher, base::digest_of(config_text));
  for (const auto& [name, tensor] : tensors_) {
    add_digest(hasher, base::digest_of(tensor.label));
    add_digest(hasher, content(name, tensor));
  }
  return hasher.digest();
}

}  // namespace thresher::model
