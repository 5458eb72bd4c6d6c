#include "store/fixture.h"

#include <stdlib.h>

#include <boost/test/unit_test.hpp>
#include <limits>

namespace thresher::tests {

Folder::Folder() {
  std::string name = (std::filesystem::temp_directory_path() / "thresher-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) base::fail_errno(base::Exit::cannot_create, name, errno);
  path_ = name;
}

Folder::~Folder() {
  base::real_files().remove_tree(path_);
}

base::Path Folder::put(const std::string& name, std::string_view content) const {
  const base::Path path = path_ / name;
  base::real_files().remove(path);
  base::real_files().create(path)->write_at(0, std::as_bytes(std::span(content)));
  return path;
}

SmallCorpus::SmallCorpus(std::int64_t documents) {
  info_.documents = documents;
}

store::Documents SmallCorpus::read(std::int64_t first, std::int64_t count) {
  store::Documents documents;
  documents.first = first;
  for (std::int64_t i = first; i < first + count; ++i) {
    documents.text += "document " + std::to_string(i);
    documents.offsets.push_back(documents.text.size());
    documents.status.push_back(store::Intake::ok);
  }
  return documents;
}

std::vector<std::string> SmallCorpus::ids(std::int64_t first, std::int64_t count) {
  std::vector<std::string> names;
  for (std::int64_t i = first; i < first + count; ++i) names.push_back("id-" + std::to_string(i));
  return names;
}

std::vector<std::uint64_t> SmallCorpus::offsets(std::int64_t first, std::int64_t count) {
  return read(first, count).offsets;
}

store::Plan small_plan(std::int64_t documents, std::int64_t size) {
  store::Plan plan;
  plan.values = {{"model", "0123"}, {"dtype", "f32"}};
  for (std::int64_t first = 0; first < documents; first += size) plan.shards.push_back(first);
  plan.shards.push_back(documents);
  return plan;
}

store::Rows small_rows(const store::Plan& plan, std::int64_t shard, const store::Columns& columns) {
  store::Rows rows;
  rows.shard = shard;
  rows.first = plan.shards[static_cast<std::size_t>(shard)];
  if (columns.per_token) rows.token_offsets.push_back(0);
  for (std::int64_t document = rows.first; document < plan.shards[static_cast<std::size_t>(shard) + 1]; ++document) {
    const bool rejected = document % 5 == 4;
    const std::int64_t tokens = rejected ? 0 : document % 4;
    rows.status.push_back(rejected            ? store::Status::rejected
                          : tokens == 0       ? store::Status::empty
                          : document % 3 == 0 ? store::Status::windowed
                                              : store::Status::ok);
    if (rejected) rows.rejects.push_back({document, "number " + std::to_string(document) + " is no good"});
    rows.tokens.push_back(tokens);
    rows.logprob.push_back(tokens == 0 ? std::numeric_limits<double>::quiet_NaN()
                                       : -0.125 * static_cast<double>(document));
    rows.bytes.push_back(10 + document);
    rows.words.push_back(2);
    if (columns.pairs) rows.is_greedy.push_back(tokens == 2);
    if (!columns.per_token) continue;
    rows.token_offsets.push_back(rows.token_offsets.back() + static_cast<std::uint64_t>(tokens));
    for (std::int64_t t = 0; t < tokens; ++t) {
      rows.token_id.push_back(static_cast<std::uint32_t>(100 * document + t));
      rows.token_logprob.push_back(-0.125f * static_cast<float>(t + 1 < tokens ? 1 : document - t));
      rows.token_rank.push_back(static_cast<std::int32_t>(tokens == 2 ? 0 : t + 1));
      rows.token_entropy.push_back(1.25f);
      for (std::int32_t k = 0; k < columns.top_k; ++k) {
        rows.top_id.push_back(static_cast<std::uint32_t>(k));
        rows.top_logprob.push_back(-1.0f * static_cast<float>(k));
      }
    }
  }
  return rows;
}

store::Totals small_run(base::FileSystem& files, const base::Path& directory, const store::Plan& plan,
                        const store::Columns& columns) {
  SmallCorpus corpus(plan.shards.back());
  store::RunDirectory run(files, directory);
  run.settle(plan);
  const std::vector<bool> done = run.committed(plan);
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    if (!done[static_cast<std::size_t>(shard)])
      run.commit(shard, store::build_part(small_rows(plan, shard, columns), columns, plan.identity()));
  }
  return run.publish(plan, columns, corpus);
}

store::Plan sharded(store::Plan plan) {
  plan.values["output_mode"] = "sharded";
  return plan;
}

void seal(const base::Path& results) {
  base::FileSystem& files = base::real_files();
  std::string bytes = base::read_all(files, results, 1 << 24);
  const base::Digest digest = base::digest_of(bytes);
  const auto size = static_cast<std::int64_t>(bytes.size());
  bytes += std::string_view("THRSEAL\1", 8);
  bytes.append(reinterpret_cast<const char*>(&size), sizeof size);
  bytes.append(reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size());
  base::write_atomically(files, results, bytes);
}

bool says(const base::Error& error, base::Exit code, const std::vector<std::string>& words) {
  const std::string text = error.what();
  bool all = error.code() == code;
  for (const std::string& word : words) all = all && text.find(word) != std::string::npos;
  if (!all) BOOST_TEST_MESSAGE("exit " << static_cast<int>(error.code()) << " (" << error.where() << "): " << text);
  return all;
}

}  // namespace thresher::tests
