#include "store/seal.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "thresher/base/check.h"
#include "thresher/base/hash.h"

namespace thresher::store {
namespace {

constexpr std::int64_t read_block = std::int64_t{1} << 20;
constexpr char magic_of_version_1[8] = {'T', 'H', 'R', 'S', 'E', 'A', 'L', 1};

// All numbers little-endian.
struct Seal {
  char magic[8];
  std::int64_t bytes;  // before it
  std::uint8_t digest[16];
};
static_assert(sizeof(Seal) == seal_bytes);

}  // namespace

std::string seal_of(const base::ReadFile& file, std::int64_t bytes) {
  base::Hasher hasher;
  std::vector<std::byte> block;
  for (std::int64_t at = 0; at < bytes; at += read_block) {
    block.resize(static_cast<std::size_t>(std::min(read_block, bytes - at)));
    file.read_at(at, block);
    hasher.add(block);
  }
  Seal seal{};
  std::copy(std::begin(magic_of_version_1), std::end(magic_of_version_1), seal.magic);
  seal.bytes = bytes;
  const base::Digest digest = hasher.digest();
  std::copy(digest.bytes.begin(), digest.bytes.end(), seal.digest);
  return {reinterpret_cast<const char*>(&seal), sizeof seal};
}

bool check_seal(base::FileSystem& files, const base::Path& path) {
  const std::unique_ptr<base::ReadFile> file = files.open(path);
  const std::int64_t bytes = file->size() - seal_bytes;
  if (bytes < 0) return false;
  std::string there(seal_bytes, '\0');
  file->read_at(bytes, std::as_writable_bytes(std::span(there)));
  if (!there.starts_with(std::string_view(magic_of_version_1, sizeof magic_of_version_1))) return false;
  if (const std::string expected = seal_of(*file, bytes); there != expected)
    base::fail(base::Exit::data, fmt::format("{} is damaged: its {} bytes do not have the digest at its end",
                                             path.string(), file->size()));
  return true;
}

}  // namespace thresher::store
