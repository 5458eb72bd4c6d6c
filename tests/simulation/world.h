// What simulated jobs work on: small corpora whose scores are pure functions of the documents, and what an undisturbed
// job leaves.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/codec.h"
#include "thresher/store/document.h"
#include "thresher/store/result.h"
#include "thresher/store/run_directory.h"

namespace thresher::simulation {

// Ids and nothing else: reading and encoding documents is not simulated.
class Corpus final : public store::Source {
 public:
  explicit Corpus(std::int64_t documents) { info_.documents = documents; }
  const store::CorpusInfo& info() const override { return info_; }
  store::Documents read(std::int64_t first, std::int64_t count) override;
  std::vector<std::string> ids(std::int64_t first, std::int64_t count) override;
  std::vector<std::uint64_t> offsets(std::int64_t first, std::int64_t count) override;
  base::Digest digest() override;

 private:
  store::CorpusInfo info_;
};

// Rows of one shard, made of nothing but the numbers of its documents.
store::Rows rows_of(const store::Plan& plan, std::int64_t shard, const store::Columns& columns);
// Their part as a worker builds it.
std::string build_part_of(const store::Plan& plan, std::int64_t shard, const store::Columns& columns);

// summary.json and _SUCCESS; run.json is another text.
std::string summary_of(const store::Totals& totals);
inline constexpr const char* run_text = "{\"seconds\": 1}\n";

struct World {
  explicit World(int number);

  store::Plan plan;
  store::Columns columns;
  std::vector<std::string> parts;  // of every shard
  // What an undisturbed job leaves in its directory, by name: "parts/part-00000000.h5". The lock and logs are left out.
  std::map<std::string, std::string> finished;
};

// Gathered and sharded, with and without tokens, pairs and rejects, of 0 to 40 documents in 0 to 20 shards. Made when
// it is first asked for.
inline constexpr int worlds = 24;
const World& world(int number);

// HDF5's, which is asked once for the same bytes: HDF5 would take nine tenths of the time of a simulated job.
class RememberingCodec final : public store::Codec {
 public:
  std::optional<std::string> job_of(std::string_view part, const std::string& name) override;
  store::Rows read(std::string_view part, const store::Columns& columns, const std::string& name) override;
  store::hdf5::Layout lay_out(const store::hdf5::FilePlan& plan) override;

 private:
  // By all bytes, and never by their digest: a damaged part is another one. The last bytes differ most.
  struct FromTheEnd {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const;
  };
  template <class Value>
  using ByBytes = std::map<std::string, Value, FromTheEnd>;

  ByBytes<std::optional<std::string>> jobs_;
  std::map<std::array<std::int32_t, 3>, ByBytes<store::Rows>> rows_;  // by columns
  ByBytes<store::hdf5::Layout> layouts_;
};

}  // namespace thresher::simulation
