#include "simulation/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <span>

#include "base/random.h"
#include "base/simulated_disk.h"
#include "thresher/base/check.h"

namespace thresher::simulation {
namespace {

constexpr const char* home = "/reference";

// Sizes and kinds of a world, from its number.
store::Plan plan_of(int number) {
  tests::Random random(static_cast<std::uint64_t>(number));
  const std::int64_t documents = number == 0 ? 0 : random.between(1, 40);
  const std::int64_t size = 1 + documents / random.between(1, 20);
  store::Plan plan;
  plan.values = {{"world", std::to_string(number)}, {"output_mode", number % 2 == 0 ? "gather" : "sharded"}};
  for (std::int64_t first = 0; first < documents; first += size) plan.shards.push_back(first);
  plan.shards.push_back(documents);
  return plan;
}

store::Columns columns_of(int number) {
  constexpr std::array<store::Columns, 4> kinds{
      {{false, false, 0}, {false, true, 0}, {true, true, 2}, {true, false, 0}}};
  return kinds[static_cast<std::size_t>(number / 2 % 4)];
}

void add_token(store::Rows& rows, tests::Random& random, std::int32_t top_k) {
  rows.token_id.push_back(static_cast<std::uint32_t>(random.below(50000)));
  rows.token_logprob.push_back(-static_cast<float>(random.share()));
  rows.token_rank.push_back(static_cast<std::int32_t>(random.once_in(2) ? 0 : random.below(100)));
  rows.token_entropy.push_back(static_cast<float>(random.share()));
  for (std::int32_t k = 0; k < top_k; ++k) {
    rows.top_id.push_back(static_cast<std::uint32_t>(random.below(50000)));
    rows.top_logprob.push_back(-static_cast<float>(k) - static_cast<float>(random.share()));
  }
}

void add_document(store::Rows& rows, std::int64_t document, const store::Columns& columns) {
  tests::Random random(static_cast<std::uint64_t>(document) * 1000003);
  const bool rejected = random.once_in(6), windowed = random.once_in(5);
  const std::int64_t tokens = rejected ? 0 : random.below(6);
  const bool scored = tokens > 0;
  rows.status.push_back(rejected   ? store::Status::rejected
                        : !scored  ? store::Status::empty
                        : windowed ? store::Status::windowed
                                   : store::Status::ok);
  if (rejected) rows.rejects.push_back({document, fmt::format("number {} is no good", document)});
  rows.tokens.push_back(tokens);
  rows.logprob.push_back(scored ? -10 * random.share() : std::numeric_limits<double>::quiet_NaN());
  rows.bytes.push_back(random.below(1000));
  rows.words.push_back(random.below(100));
  if (columns.pairs) rows.is_greedy.push_back(scored && random.once_in(2));
  if (!columns.per_token) return;
  rows.token_offsets.push_back(rows.token_offsets.back() + static_cast<std::uint64_t>(tokens));
  for (std::int64_t t = 0; t < tokens; ++t) add_token(rows, random, columns.top_k);
  if (!scored) return;
  const auto logprobs = std::span(rows.token_logprob).last(static_cast<std::size_t>(tokens));
  const auto ranks = std::span(rows.token_rank).last(static_cast<std::size_t>(tokens));
  rows.logprob.back() = std::accumulate(logprobs.begin(), logprobs.end(), 0.0);
  if (columns.pairs) rows.is_greedy.back() = std::ranges::all_of(ranks, [](std::int32_t rank) { return rank == 0; });
}

}  // namespace

store::Documents Corpus::read(std::int64_t, std::int64_t) {
  base::fail(base::Exit::internal, "the simulation reads no documents");
}

std::vector<std::string> Corpus::ids(std::int64_t first, std::int64_t count) {
  std::vector<std::string> found;
  for (std::int64_t document = first; document < first + count; ++document)
    found.push_back(fmt::format("id {}", document));
  return found;
}

std::vector<std::uint64_t> Corpus::offsets(std::int64_t, std::int64_t) {
  base::fail(base::Exit::internal, "the simulation reads no documents");
}

base::Digest Corpus::digest() {
  return base::digest_of("simulated");
}

store::Rows rows_of(const store::Plan& plan, std::int64_t shard, const store::Columns& columns) {
  store::Rows rows;
  rows.shard = shard;
  rows.first = plan.shards[static_cast<std::size_t>(shard)];
  if (columns.per_token) rows.token_offsets.push_back(0);
  for (std::int64_t document = rows.first; document < plan.shards[static_cast<std::size_t>(shard) + 1]; ++document)
    add_document(rows, document, columns);
  return rows;
}

std::string build_part_of(const store::Plan& plan, std::int64_t shard, const store::Columns& columns) {
  return store::build_part(rows_of(plan, shard, columns), columns, plan.identity());
}

std::string summary_of(const store::Totals& totals) {
  std::string by_status;
  for (int status = 0; status < 5; ++status)
    by_status += fmt::format("{}\"{}\": {}", status > 0 ? ", " : "", store::name_of(static_cast<store::Status>(status)),
                             totals.by_status[status]);
  return fmt::format(
      "{{\"documents\": {}, \"documents_by_status\": {{{}}}, \"tokens\": {}, \"bytes\": {}, \"words\": {}, "
      "\"logprob\": {}}}\n",
      totals.documents, by_status, totals.tokens, totals.bytes, totals.words, totals.logprob);
}

World::World(int number) : plan(plan_of(number)), columns(columns_of(number)) {
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard)
    parts.push_back(build_part_of(plan, shard, columns));
  tests::SimulatedDisk disk;
  {
    store::RunDirectory run(disk, home);
    run.settle(plan);
    for (std::size_t shard = 0; shard < parts.size(); ++shard)
      run.commit(static_cast<std::int64_t>(shard), parts[shard]);
    Corpus corpus(plan.shards.back());
    const std::string summary = summary_of(run.publish(plan, columns, corpus));
    run.write("summary.json", summary);
    run.write("run.json", run_text);
    run.succeed(summary);
  }
  const std::string below = std::string(home) + "/";
  for (const std::string& name : disk.names())
    if (name.starts_with(below) && disk.entry(name) == base::Entry::file && name != below + "lock")
      finished[name.substr(below.size())] = disk.content(name);
}

const World& world(int number) {
  static std::array<std::unique_ptr<World>, worlds> all;
  std::unique_ptr<World>& one = all[static_cast<std::size_t>(number)];
  if (!one) one = std::make_unique<World>(number);
  return *one;
}

bool RememberingCodec::FromTheEnd::operator()(std::string_view a, std::string_view b) const {
  if (a.size() != b.size()) return a.size() < b.size();
  const std::size_t end = a.size() - std::min<std::size_t>(a.size(), 16);
  const int difference = a.substr(end).compare(b.substr(end));
  return difference != 0 ? difference < 0 : a < b;
}

std::optional<std::string> RememberingCodec::job_of(std::string_view part, const std::string& name) {
  const auto found = jobs_.find(part);
  if (found != jobs_.end()) return found->second;
  return jobs_[std::string(part)] = Codec::job_of(part, name);
}

store::Rows RememberingCodec::read(std::string_view part, const store::Columns& columns, const std::string& name) {
  ByBytes<store::Rows>& rows = rows_[{columns.pairs, columns.per_token, columns.top_k}];
  const auto found = rows.find(part);
  if (found != rows.end()) return found->second;
  return rows[std::string(part)] = Codec::read(part, columns, name);
}

store::hdf5::Layout RememberingCodec::lay_out(const store::hdf5::FilePlan& plan) {
  std::string key = fmt::format("{} {} {} ", plan.format, plan.version, plan.sealed);
  for (const auto& [name, value] : plan.attributes) key += fmt::format("{} {};", name, value);
  for (const auto& [name, value] : plan.numbers) key += fmt::format("{} {};", name, value);
  for (const std::string& source : plan.sources) key += source + ";";
  for (const store::hdf5::ColumnPlan& column : plan.columns) {
    key += fmt::format("{} {} {} {} {}:", column.name, static_cast<int>(column.kind), column.rows, column.width,
                       column.matrix);
    for (const std::string& name : column.names) key += name + ",";
    for (const std::int64_t rows : column.source_rows) key += std::to_string(rows) + ",";
  }
  const auto found = layouts_.find(key);
  if (found != layouts_.end()) return found->second;
  return layouts_[key] = Codec::lay_out(plan);
}

}  // namespace thresher::simulation
