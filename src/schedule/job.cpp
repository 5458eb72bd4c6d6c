#include "thresher/schedule/job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <memory>
#include <thread>

#include "schedule/agree.h"
#include "schedule/progress.h"
#include "schedule/report.h"
#include "schedule/setup.h"
#include "schedule/survey.h"
#include "thresher/base/clock.h"
#include "thresher/base/log.h"
#include "thresher/base/machine.h"
#include "thresher/engine/score_task.h"
#include "thresher/schedule/coordinator.h"
#include "thresher/schedule/queue.h"
#include "thresher/schedule/worker.h"
#include "thresher/store/run_directory.h"

namespace thresher::schedule {
namespace {

constexpr double peak_seconds = 0.05;

// One job on this rank, from the first look at the corpus to the summary.
class Run {
 public:
  Run(const Job& job, World world)
      : job_(job), world_(world), leads_(world.comm.rank() == 0), started_(base::real_clock().utc()) {}

  base::Exit run() {
    open();
    settle();
    work();
    return conclude();
  }

 private:
  // Rank zero takes the directory and cuts the corpus; then everyone loads.
  void open();
  // Ranks must compute alike; then plan.json is written or compared, and committed parts are counted.
  void settle();
  void work();
  void lead(const WorkerParts& parts);
  ProgressTotals progress_totals() const;
  void measure(base::Metrics& metrics, const engine::ScoreTask& task);
  base::Exit conclude();
  base::Exit exit_code(const store::Totals& totals) const;

  const Job& job_;
  World world_;
  const bool leads_;
  const std::string started_;
  const base::Stopwatch watch_;
  std::unique_ptr<store::RunDirectory> directory_;  // rank zero
  Survey survey_;
  std::vector<std::string> hosts_;
  std::unique_ptr<Setup> setup_;
  store::Plan plan_;             // rank zero
  std::vector<bool> committed_;  // rank zero
  Outcome outcome_;
  base::Metrics metrics_;
};

void Run::open() {
  agree(world_.comm, [&] {
    if (!leads_) return;
    directory_ = std::make_unique<store::RunDirectory>(base::real_files(), job_.output);
    if (job_.fresh) directory_->clear();
    base::real_files().make_directories(job_.output / "logs");
    survey_ = survey_corpus(job_, *directory_);
  });
  share(survey_, world_.comm);
  hosts_ = world_.comm.all_gather(base::host_name());
  const auto local = std::count(hosts_.begin(), hosts_.end(), hosts_[static_cast<std::size_t>(world_.comm.rank())]);
  agree(world_.comm, [&] {
    const int rank = world_.comm.rank();
    base::log().open(rank, leads_, (job_.output / "logs" / fmt::format("rank-{:05}.log", rank)).string());
    setup_ = std::make_unique<Setup>(job_, survey_, static_cast<int>(local));
  });
}

void Run::settle() {
  plan_ = {setup_->plan_values(survey_, job_), survey_.shards};
  std::string identity;
  for (const auto& [name, value] : plan_.values) identity += name + " " + value + "\n";
  const auto identities = world_.comm.all_gather(identity);
  agree(world_.comm, [&] {
    for (std::size_t rank = 0; rank < identities.size(); ++rank)
      if (identities[rank] != identities.front())
        base::fail(base::Exit::config,
                   fmt::format("rank {} ({}) would compute other bits than rank 0 ({}): {} against {}", rank,
                               hosts_[rank], hosts_.front(), identities[rank], identities.front()));
    if (!leads_) return;
    directory_->settle(plan_);
    committed_ = directory_->committed(plan_);
  });
}

void Run::work() {
  Setup& setup = *setup_;
  world_.comm.barrier();
  metrics_.set("peak", setup.device().measure_peak(setup.choices().dtype, peak_seconds));
  setup.device().reset();
  engine::ScoreTask task(setup.transformer(), {setup.choices().tokens_per_batch, setup.choices().rule,
                                               setup.choices().columns, setup.policy().lead, setup.policy().bare_lead});
  const WorkerParts parts{world_.mailbox, setup.corpus(), survey_.shards,
                          setup.policy(), task,           setup.choices().columns};
  const base::Stopwatch watch;
  if (leads_)
    lead(parts);
  else
    run_worker(parts, metrics_);
  metrics_.set("seconds", watch.seconds());
  measure(metrics_, task);
}

// The coordinator on a thread of its own beside this rank's worker.
void Run::lead(const WorkerParts& parts) {
  Progress progress(progress_totals(), base::real_clock(), isatty(STDERR_FILENO) == 1, job_.progress_every);
  LeaseQueue queue(committed_, world_.comm.size());
  double weight = 0;
  Coordinator coordinator(world_.mailbox, world_.comm.size(), queue,
                          {[&](std::span<const CommittedPart> parts_to_commit) {
                             directory_->commit(parts_to_commit);
                             for (const auto& [shard, bytes] : parts_to_commit)
                               weight += static_cast<double>(survey_.weights[static_cast<std::size_t>(shard)]);
                           },
                           [&](const Advance& advance) { progress.update(advance, weight); }});
  std::exception_ptr job_error, own_error;
  std::thread thread([&] {
    try {
      coordinator.run();
    } catch (...) {
      job_error = std::current_exception();
    }
  });
  try {
    run_worker(parts, metrics_);
  } catch (...) {
    own_error = std::current_exception();
  }
  thread.join();
  progress.end();
  if (job_error) std::rethrow_exception(job_error);
  if (own_error) std::rethrow_exception(own_error);
  metrics_.set("write", coordinator.commit_seconds());
}

ProgressTotals Run::progress_totals() const {
  ProgressTotals totals;
  totals.documents = survey_.shards.back();
  for (std::size_t s = 0; s < committed_.size(); ++s) {
    totals.weight += static_cast<double>(survey_.weights[s]);
    if (!committed_[s]) continue;
    totals.weight_before += static_cast<double>(survey_.weights[s]);
    totals.documents_before += survey_.shards[s + 1] - survey_.shards[s];
  }
  return totals;
}

void Run::measure(base::Metrics& metrics, const engine::ScoreTask& task) {
  const engine::ScoreCounts& counts = task.counts();
  const model::ModelConfig& config = setup_->config();
  metrics.set("batches", static_cast<double>(counts.batches));
  metrics.set("tokens fed", static_cast<double>(counts.tokens_fed));
  metrics.set("tokens scored", static_cast<double>(counts.tokens_scored));
  metrics.set("flop", config.block_flops() * static_cast<double>(counts.tokens_fed) +
                          config.head_flops() * static_cast<double>(counts.tokens_scored) +
                          config.attention_flops() * counts.visible_keys);
  metrics.set("peak memory", static_cast<double>(base::peak_memory()));
  double products = setup_->device().score_time().products;
  for (const device::StepCost& cost : setup_->device().steps()) {
    metrics.set("step " + cost.step, cost.seconds);
    if (cost.step == "matmul") products += cost.seconds;
  }
  metrics.set("products", products);
}

base::Exit Run::conclude() {
  for (const std::string& rank : world_.comm.all_gather(metrics_.encode()))
    outcome_.ranks.push_back(base::Metrics::decode(rank));
  base::Exit code = base::Exit::ok;
  agree(world_.comm, [&] {
    if (!leads_) return;
    const bool done_before = directory_->succeeded() && std::count(committed_.begin(), committed_.end(), false) == 0;
    outcome_.totals = directory_->publish(plan_, setup_->choices().columns, setup_->corpus());
    code = exit_code(outcome_.totals);
    outcome_.score_seconds = outcome_.ranks.front().value("seconds");
    outcome_.layout = fmt::format("dp={},pp=1,tp=1", world_.comm.size());
    outcome_.dtype = tensor::name_of(setup_->choices().dtype);
    outcome_.device = setup_->device().kind();
    outcome_.isa = setup_->device().isa();
    outcome_.threads = setup_->choices().threads;
    outcome_.seconds = watch_.seconds();
    if (done_before) {
      base::info(fmt::format("{} is complete: nothing was left to do", job_.output.string()));
    } else {
      const std::string summary = summary_json(outcome_);
      directory_->write("summary.json", summary);
      directory_->write("run.json", run_json(job_, outcome_, hosts_, started_, base::real_clock().utc()));
      directory_->succeed(summary);
    }
    // The results are there already: a closed standard output changes nothing.
    const std::string text =
        fmt::format("{}results: {}\n", report_text(outcome_), (directory_->path() / "results.h5").string());
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  });
  return static_cast<base::Exit>(
      unpack_message<FailureHeader>(world_.comm.all_gather(pack_message(FailureHeader{static_cast<int>(code)})).front())
          .code);
}

base::Exit Run::exit_code(const store::Totals& totals) const {
  const auto count = [&](store::Status status) { return totals.by_status[static_cast<int>(status)]; };
  const std::int64_t failures = count(store::Status::rejected) + count(store::Status::nan);
  if (!job_.max_rejects || failures <= *job_.max_rejects) return base::Exit::ok;
  base::log().write(base::Level::error,
                    fmt::format("{} documents have no score, --max-rejects allows {}", failures, *job_.max_rejects));
  return base::Exit::failures;
}

}  // namespace

base::Exit run_job(const Job& job, World world) {
  return Run(job, world).run();
}

}  // namespace thresher::schedule
