// Part files: one shard's rows as an HDF5 image and a trailer of 64 bytes.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "store/columns.h"
#include "store/part_file.h"
#include "thresher/base/check.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;
using hdf5::ColumnPlan;
using hdf5::Kind;

// All numbers little-endian. The digest is over everything before it, the image included.
struct Trailer {
  char magic[8];
  std::int64_t shard, first, rows, tokens, image_bytes;
  std::uint8_t digest[16];
};
static_assert(sizeof(Trailer) == 64);

constexpr char magic_of_version_1[8] = {'T', 'H', 'R', 'P', 'A', 'R', 'T', 1};
constexpr std::size_t digest_offset = offsetof(Trailer, digest);

// Reasons of rejected documents as three columns: offsets over one flat text.
struct Reasons {
  std::vector<std::int64_t> documents;
  std::vector<std::uint64_t> offsets{0};
  std::string text;
};

Reasons reasons_of(const Rows& rows) {
  Reasons reasons;
  for (const Rows::Reject& reject : rows.rejects) {
    reasons.documents.push_back(reject.document);
    reasons.text += reject.reason;
    reasons.offsets.push_back(reasons.text.size());
  }
  return reasons;
}

void read_reasons(const hdf5::InputFile& file, Rows& rows) {
  const hdf5::InputColumn documents = file.column("/reject/document"), text = file.column("/reject/text");
  const std::int64_t count = documents.rows();
  const auto numbers = documents.read<std::int64_t>(0, count);
  const hdf5::InputColumn column = file.column("/reject/offsets");
  column.expect(count + 1);
  const auto offsets = column.read<std::uint64_t>(0, count + 1);
  std::string flat(static_cast<std::size_t>(text.rows()), '\0');
  text.read(0, std::span(reinterpret_cast<std::uint8_t*>(flat.data()), flat.size()));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (offsets[i] > offsets[i + 1] || offsets[i + 1] > flat.size())
      fail(Exit::data, file.name() + ": offsets of reasons are out of range");
    rows.rejects.push_back({numbers[i], flat.substr(offsets[i], offsets[i + 1] - offsets[i])});
  }
}

}  // namespace

std::string build_part(const Rows& rows, const Columns& columns, const std::string& job) {
  check_rows(rows, columns);
  const std::int64_t tokens = columns.per_token ? static_cast<std::int64_t>(rows.token_id.size()) : 0;
  const Reasons reasons = reasons_of(rows);
  const auto rejects = static_cast<std::int64_t>(rows.rejects.size());
  hdf5::FilePlan plan{"thresher-part", 1, {}, plan_columns(columns, rows.count(), tokens)};
  if (!job.empty()) plan.attributes.emplace_back("job", job);
  plan.columns.push_back({"/reject/document", Kind::i64, rejects, 1, false, {}});
  plan.columns.push_back({"/reject/offsets", Kind::u64, rejects + 1, 1, false, {}});
  plan.columns.push_back({"/reject/text", Kind::u8, static_cast<std::int64_t>(reasons.text.size()), 1, false, {}});
  std::vector<std::span<const std::byte>> data = column_bytes(rows, columns);
  data.push_back(std::as_bytes(std::span(reasons.documents)));
  data.push_back(std::as_bytes(std::span(reasons.offsets)));
  data.push_back(std::as_bytes(std::span(reasons.text)));
  std::string part = hdf5::build_image(plan, data);

  Trailer trailer{};
  std::copy(std::begin(magic_of_version_1), std::end(magic_of_version_1), trailer.magic);
  trailer.shard = rows.shard;
  trailer.first = rows.first;
  trailer.rows = rows.count();
  trailer.tokens = tokens;
  trailer.image_bytes = static_cast<std::int64_t>(part.size());
  part.append(reinterpret_cast<const char*>(&trailer), digest_offset);
  const base::Digest digest = base::digest_of(part);
  part.append(reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size());
  return part;
}

std::string_view image_of(std::string_view part) {
  return part.substr(0, part.size() - sizeof(Trailer));
}

PartInfo read_trailer(std::string_view end, std::int64_t part_bytes, const std::string& name) {
  if (end.size() < sizeof(Trailer)) {
    fail(Exit::data, fmt::format("{} has {} bytes, a part has at least {}", name, end.size(), sizeof(Trailer)));
  }
  Trailer trailer{};
  std::memcpy(&trailer, end.data() + end.size() - sizeof trailer, sizeof trailer);
  if (!std::equal(std::begin(magic_of_version_1), std::end(magic_of_version_1), trailer.magic)) {
    fail(Exit::data, fmt::format("{} does not end as a part of version 1 does: it was cut or overwritten", name));
  }
  const auto image_bytes = part_bytes - static_cast<std::int64_t>(sizeof trailer);
  if (trailer.image_bytes != image_bytes || trailer.shard < 0 || trailer.first < 0 || trailer.rows < 0 ||
      trailer.tokens < 0) {
    fail(Exit::data,
         fmt::format("{}: its trailer speaks of {} bytes, {} are there", name, trailer.image_bytes, image_bytes));
  }
  PartInfo info{trailer.shard, trailer.first, trailer.rows, trailer.tokens, {}};
  std::copy(std::begin(trailer.digest), std::end(trailer.digest), info.digest.bytes.begin());
  return info;
}

PartInfo check_part(std::string_view bytes, const std::string& name) {
  const PartInfo info = read_trailer(bytes, static_cast<std::int64_t>(bytes.size()), name);
  const base::Digest digest = base::digest_of(bytes.substr(0, bytes.size() - sizeof(Trailer) + digest_offset));
  if (digest != info.digest)
    fail(Exit::data,
         fmt::format("{} is damaged: its digest is {}, expected {}", name, digest.hex(), info.digest.hex()));
  return info;
}

Rows read_part(std::string_view bytes, const Columns& columns, const std::string& name) {
  const PartInfo info = read_trailer(bytes, static_cast<std::int64_t>(bytes.size()), name);
  const hdf5::InputFile file(image_of(bytes), name);
  if (const Columns found = columns_of(file); !(found == columns)) {
    fail(
        Exit::data,
        fmt::format("{} holds other columns than this job writes (pairs {}, per token {}, top {}; expected {}, {}, {})",
                    name, found.pairs, found.per_token, found.top_k, columns.pairs, columns.per_token, columns.top_k));
  }
  const RowReader reader(file, columns);
  if (reader.rows() != info.rows || reader.tokens() != info.tokens) {
    fail(Exit::data, fmt::format("{} holds {} rows and {} tokens, its trailer says {} and {}", name, reader.rows(),
                                 reader.tokens(), info.rows, info.tokens));
  }
  Rows rows = reader.read(0, info.rows, true);
  rows.shard = info.shard;
  rows.first = info.first;
  read_reasons(file, rows);
  return rows;
}

}  // namespace thresher::store
