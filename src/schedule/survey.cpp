#include "schedule/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "thresher/base/check.h"
#include "thresher/base/log.h"
#include "thresher/comm/ending.h"
#include "thresher/schedule/plan.h"
#include "thresher/store/import.h"

namespace thresher::schedule {
namespace {

// The corpus to score: the one HDF5 file that was named, or what the named files become.
base::Path find_corpus(const Job& job, store::RunDirectory& directory) {
  base::FileSystem& files = base::real_files();
  const std::vector<base::Path> inputs = store::expand(job.corpus);
  if (inputs.size() == 1 && store::is_hdf5(files, inputs.front())) return inputs.front();
  for (const base::Path& input : inputs)
    if (store::is_hdf5(files, input))
      base::fail(base::Exit::usage, fmt::format("--corpus names {} files and {} is HDF5: give one HDF5 corpus, or text "
                                                "and JSONL files only",
                                                inputs.size(), input.string()));
  const base::Path corpus = directory.path() / "corpus.h5";
  // A restart imports again: only equal input gives an equal corpus, and plan.json tells if it is not.
  store::ImportOptions options = job.import;
  options.threads = job.threads > 0 ? job.threads : options.threads;
  options.between = comm::throw_if_cancelled;
  const auto report = store::import_files(inputs, corpus, directory.path() / "corpus-rejects.jsonl", options);
  base::info(fmt::format("imported {} documents ({} rejected) from {} files", report.documents, report.rejected,
                         inputs.size()));
  return corpus;
}

void put(std::string& out, const void* data, std::size_t bytes) {
  const auto length = static_cast<std::uint64_t>(bytes);
  out.append(reinterpret_cast<const char*>(&length), sizeof length);
  out.append(static_cast<const char*>(data), bytes);
}

std::string_view get(std::string_view& in) {
  std::uint64_t length = 0;
  std::memcpy(&length, in.data(), sizeof length);
  const std::string_view piece = in.substr(sizeof length, length);
  in.remove_prefix(sizeof length + length);
  return piece;
}

std::vector<std::int64_t> get_numbers(std::string_view& in) {
  const std::string_view piece = get(in);
  std::vector<std::int64_t> numbers(piece.size() / sizeof(std::int64_t));
  std::memcpy(numbers.data(), piece.data(), piece.size());
  return numbers;
}

}  // namespace

Survey survey_corpus(const Job& job, store::RunDirectory& directory) {
  Survey survey;
  survey.corpus = std::filesystem::absolute(find_corpus(job, directory)).string();
  const auto corpus = store::open_corpus(survey.corpus);
  const store::CorpusInfo& info = corpus->info();
  const std::int64_t unit = info.tokens > 0 ? 4 : 1;
  survey.shard_bytes =
      job.shard_bytes > 0 ? job.shard_bytes : default_shard_bytes(info.text_bytes + unit * info.tokens);
  ShardCutter cutter({job.shard_documents, survey.shard_bytes});
  constexpr std::int64_t block = 1 << 20;
  for (std::int64_t first = 0; first < info.documents; first += block) {
    const auto offsets = corpus->offsets(first, std::min(block, info.documents - first));
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i)
      cutter.add(unit * static_cast<std::int64_t>(offsets[i + 1] - offsets[i]));
  }
  survey.shards = cutter.finish();
  survey.weights = cutter.weights();
  survey.longest = cutter.longest() / unit;
  survey.text_bytes = info.text_bytes;
  survey.tokens = info.tokens;
  survey.pairs = info.pairs;
  survey.digest = corpus->digest().hex();
  return survey;
}

void share(Survey& survey, comm::Comm& comm) {
  std::string bytes;
  if (comm.rank() == 0) {
    std::vector<std::int64_t> numbers{survey.shard_bytes, survey.longest, survey.text_bytes, survey.tokens,
                                      survey.pairs};
    put(bytes, survey.corpus.data(), survey.corpus.size());
    put(bytes, survey.digest.data(), survey.digest.size());
    for (const auto* list :
         std::initializer_list<const std::vector<std::int64_t>*>{&numbers, &survey.shards, &survey.weights})
      put(bytes, list->data(), list->size() * sizeof(std::int64_t));
  }
  comm.broadcast(bytes, 0);
  std::string_view in = bytes;
  survey.corpus = get(in);
  survey.digest = get(in);
  const auto numbers = get_numbers(in);
  survey.shard_bytes = numbers[0];
  survey.longest = numbers[1];
  survey.text_bytes = numbers[2];
  survey.tokens = numbers[3];
  survey.pairs = numbers[4] != 0;
  survey.shards = get_numbers(in);
  survey.weights = get_numbers(in);
}

}  // namespace thresher::schedule
