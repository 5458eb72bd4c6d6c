#include "thresher/schedule/import_job.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <numeric>
#include <sstream>

#include "thresher/base/check.h"

namespace thresher::schedule {
namespace {

// What a rank tells the others about its share: the report, or its error.
struct Outcome {
  base::Exit code = base::Exit::ok;
  std::string message;
  store::ImportReport report;

  std::string pack() const {
    return fmt::format("{} {} {} {} {} {} {}\n{}", static_cast<int>(code), report.documents, report.rejected,
                       report.duplicates, report.input_bytes, report.text_bytes,
                       report.digest.empty() ? "-" : report.digest, message);
  }

  static Outcome unpack(const std::string& bytes) {
    Outcome outcome;
    int code = 0;
    std::istringstream in(bytes);
    in.imbue(std::locale::classic());
    in >> code >> outcome.report.documents >> outcome.report.rejected >> outcome.report.duplicates >>
        outcome.report.input_bytes >> outcome.report.text_bytes >> outcome.report.digest;
    if (outcome.report.digest == "-") outcome.report.digest.clear();
    in.ignore();
    outcome.message.assign(std::istreambuf_iterator<char>(in), {});
    outcome.code = static_cast<base::Exit>(code);
    return outcome;
  }
};

template <typename Work>
Outcome attempt(const Work& work) {
  try {
    return {base::Exit::ok, "", work()};
  } catch (const base::Error& error) {
    return {error.code(), error.what(), {}};
  }
}

void throw_first(const std::vector<Outcome>& outcomes) {
  for (const Outcome& outcome : outcomes) {
    if (outcome.code != base::Exit::ok) base::fail(outcome.code, outcome.message);
  }
}

base::Path spool_of(const ImportJob& job, int rank) {
  base::Path spool = job.output;
  spool += fmt::format(".spool-{}", rank);
  return spool;
}

std::vector<std::int64_t> sizes_of(std::span<const base::Path> inputs) {
  std::vector<std::int64_t> sizes;
  for (const base::Path& input : inputs) {
    std::error_code error;
    const std::uintmax_t size = std::filesystem::file_size(input, error);
    sizes.push_back(error ? 0 : static_cast<std::int64_t>(size));  // reading it will say what is wrong
  }
  return sizes;
}

}  // namespace

std::vector<std::size_t> share_inputs(std::span<const std::int64_t> sizes, int ranks) {
  // A byte more for each input, so that empty ones are shared out too.
  std::int64_t total = static_cast<std::int64_t>(sizes.size());
  for (const std::int64_t size : sizes) total += size;
  std::vector<std::size_t> cuts{0};
  std::size_t next = 0;
  std::int64_t before = 0;
  for (int rank = 1; rank < ranks; ++rank) {
    const std::int64_t target = total / ranks * rank + total % ranks * rank / ranks;
    while (next < sizes.size() && before + (sizes[next] + 1) / 2 < target) before += sizes[next++] + 1;
    cuts.push_back(next);
  }
  cuts.push_back(sizes.size());
  return cuts;
}

store::ImportReport import_corpus(const ImportJob& job, comm::Comm& comm) {
  if (comm.size() == 1) return store::import_files(job.inputs, job.output, job.rejects, job.options);
  // Only one rank looks at sizes: a file that grows meanwhile must not be read twice or left out.
  std::string cut_list;
  if (comm.rank() == 0) {
    const std::vector<std::int64_t> sizes = sizes_of(job.inputs);
    for (const std::size_t cut : share_inputs(sizes, comm.size())) cut_list += fmt::format("{} ", cut);
  }
  comm.broadcast(cut_list, 0);
  std::istringstream in(cut_list);
  in.imbue(std::locale::classic());
  std::vector<std::size_t> cuts(comm.size() + 1);
  for (std::size_t& cut : cuts) in >> cut;

  const std::size_t first = cuts[comm.rank()], last = cuts[comm.rank() + 1];
  const Outcome own = attempt([&] {
    return store::spool_files(std::span(job.inputs).subspan(first, last - first), spool_of(job, comm.rank()),
                              job.options);
  });
  std::vector<Outcome> outcomes;
  for (const std::string& bytes : comm.all_gather(own.pack())) outcomes.push_back(Outcome::unpack(bytes));
  throw_first(outcomes);

  std::string merged;
  if (comm.rank() == 0) {
    std::vector<base::Path> spools;
    std::vector<store::ImportReport> reports;
    for (int rank = 0; rank < comm.size(); ++rank) {
      spools.push_back(spool_of(job, rank));
      reports.push_back(outcomes[rank].report);
    }
    merged = attempt([&] { return store::merge_spools(spools, reports, job.output, job.rejects, job.options); }).pack();
  }
  comm.broadcast(merged, 0);
  const Outcome result = Outcome::unpack(merged);
  throw_first({result});
  return result.report;
}

}  // namespace thresher::schedule
