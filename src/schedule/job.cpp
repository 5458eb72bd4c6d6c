#include "thresher/schedule/job.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <thread>

#include "schedule/agree.h"
#include "schedule/automatic.h"
#include "schedule/gpus.h"
#include "schedule/monitor.h"
#include "schedule/places.h"
#include "schedule/progress.h"
#include "schedule/record.h"
#include "schedule/report.h"
#include "schedule/report_gpu.h"
#include "schedule/sampling.h"
#include "schedule/setup.h"
#include "schedule/slurm.h"
#include "schedule/status_board.h"
#include "schedule/stop.h"
#include "schedule/survey.h"
#include "schedule/transport.h"
#include "schedule/tuning.h"
#include "thresher/base/clock.h"
#include "thresher/base/log.h"
#include "thresher/base/machine.h"
#include "thresher/comm/ending.h"
#include "thresher/comm/grid.h"
#include "thresher/device/cuda.h"
#include "thresher/device/meter.h"
#include "thresher/engine/score_task.h"
#include "thresher/engine/stage.h"
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
      : job_(job),
        world_(world),
        leads_(world.comm.rank() == 0),
        started_(base::real_clock().utc()),
        board_(started_, world.comm.size()) {}

  base::Exit run() {
    base::Exit code = base::Exit::ok;
    try {
      as_error([&] {
        open();
        load();
        tune();
        settle();
        work();
        if (!all_committed()) {
          code = stop_early();
          return;
        }
        sample();
        code = conclude();
      });
    } catch (const base::Error& error) {
      if (leads_) tell(error);
      throw;
    }
    return code;
  }

 private:
  // The ranks watch each other from now on; rank zero takes the directory and cuts the corpus; all get their places.
  void open();
  void limit_time();
  std::unique_ptr<Monitor> make_monitor();
  void tell(const base::Error& error);
  std::string stopped_text() const;
  void load();
  // Ranks on GPUs agree on algorithms.
  void tune();
  // Ranks must compute alike; then plan.json is written or compared, and committed parts are counted.
  void settle();
  void work();
  void lead_replica(engine::Stage& stage);
  void coordinate(const WorkerParts& parts);
  ProgressTotals progress_totals() const;
  void measure(const engine::StageTimes& times);
  // Collective.
  bool all_committed();
  // Of a job in int8: what that costs, by the first replica. Collective.
  void sample();
  base::Exit stop_early();
  base::Exit conclude();
  base::Exit exit_code(const store::Totals& totals) const;

  comm::Layout choose_grid();
  std::string model_identity();
  // An error of this rank alone ends the waits of all.
  template <class Work>
  void guarded(const Work& work);

  const Job& job_;
  World world_;
  const bool leads_;
  const std::string started_;
  const base::Stopwatch watch_;
  std::unique_ptr<JobRecord> record_;  // rank zero
  Survey survey_;
  std::vector<std::string> hosts_;
  std::vector<std::string> names_;  // of the ranks, for messages
  TakenGpu gpu_;                    // with GPUs
  std::optional<comm::Grid> grid_;
  Activities activities_;
  std::unique_ptr<Setup> setup_;
  std::string algorithms_;  // of the GPUs
  store::Plan plan_;
  StatusBoard board_;             // rank zero's is written
  std::int64_t shards_left_ = 0;  // rank zero: not committed
  Advance advance_;               // rank zero: what was committed in this run
  std::unique_ptr<device::GpuMeter> meter_;
  Threads threads_;
  Outcome outcome_;
  base::Metrics metrics_;
  Stop stop_;
  std::unique_ptr<Monitor> monitor_;  // ends first
};

template <class Work>
void Run::guarded(const Work& work) {
  try {
    as_error(work);
  } catch (const base::Error& error) {
    monitor_->fail(error);
    comm::throw_if_cancelled();  // the error that came first, here or elsewhere
    throw;
  }
}

void Run::open() {
  hosts_ = world_.comm.all_gather(base::host_name());
  activities_.scorer.begin(leads_ ? base::Doing::working : base::Doing::waiting,
                           leads_ ? "looking at the corpus" : "waiting for rank 0 to look at the corpus");
  if (leads_) limit_time();
  monitor_ = make_monitor();
  if (job_.device == DeviceKind::cuda) gpu_ = take_gpu(world_.comm, hosts_, names_, job_.share_gpus);
  agree(world_.comm, names_, [&] {
    if (!leads_) return;
    record_ = std::make_unique<JobRecord>(base::real_files(), job_.output, job_.fresh);
    board_.open(base::real_files(), job_.output / "status.json");
    survey_ = survey_corpus(job_, record_->directory());
    if (job_.device == DeviceKind::cuda) algorithms_ = record_->algorithms();
  });
  share(survey_, world_.comm);
  const std::vector<std::string> cores = world_.comm.all_gather(base::core_list());
  const comm::Layout layout = choose_grid();
  grid_.emplace(world_.comm, layout, hosts_);
  outcome_.places = grid_->placement().places;
  outcome_.layout = layout;
  board_.place(layout.text());
  board_.enter(State::loading);
  names_ = rank_names(hosts_, grid_ ? &*grid_ : nullptr);
  monitor_->rename(names_);
  agree(world_.comm, names_, [&] {
    const int rank = world_.comm.rank();
    base::log().open(rank, leads_,
                     base::real_files().append(job_.output / "logs" / fmt::format("rank-{:05}.log", rank)));
  });
  if (!gpu_.map.empty()) base::info(gpu_.map);
  if (!leads_ || world_.comm.size() == 1) return;
  base::info(fmt::format("layout {}\n{}", layout.text(), comm::map_text(grid_->placement(), hosts_, cores)));
}

std::unique_ptr<Monitor> Run::make_monitor() {
  return std::make_unique<Monitor>(
      world_, rank_names(hosts_, grid_ ? &*grid_ : nullptr), activities_, job_.watchdog, stop_,
      MonitorHooks{.queried = [this] { base::info(status_text(board_.now())); },
                   .beat =
                       [this](const std::vector<Watch::Word>& words) {
                         std::vector<Heartbeat> beats;
                         for (const auto& [silence, doing] : words)
                           beats.push_back({static_cast<int>(beats.size()), silence, doing});
                         board_.hear(std::move(beats));
                       },
                   .farewell = [this](const base::Error& error) { tell(error); }});
}

void Run::tell(const base::Error& error) {
  board_.end(error.code() == base::Exit::again ? State::stopped : State::failed, error.code(), text_of(error));
}

// A job stops early enough to be committed when its time is over, by the monotonic clock.
void Run::limit_time() {
  const std::optional<double> left = job_.max_time ? job_.max_time : slurm_time_left();
  StopRule::Limits limits{.grace = job_.grace};
  if (left) limits.end = base::real_clock().seconds() + *left - watch_.seconds();
  stop_.limit(limits);
  if (left && !job_.max_time)
    base::info(fmt::format("Slurm leaves {}: everything will be committed by then", duration_text(*left)));
}

comm::Layout Run::choose_grid() {
  if (job_.layout) return *job_.layout;
  const Hosts hosts = gather_hosts(world_.comm, hosts_, gpu_.memory);
  comm::Layout layout;
  agree(world_.comm, names_, [&] { layout = automatic_layout(job_, survey_, hosts); });
  return layout;
}

void Run::load() {
  activities_.scorer.begin(base::Doing::working, "loading the model");
  threads_ = take_threads(job_, world_.comm, hosts_);
  const bool broadcast = load_by_broadcast(job_, *grid_, hosts_);
  const Transport transport = agree_on_transport(world_.comm, job_, grid_->layout(), gpu_.gpus, names_);
  outcome_.transport = transport.text;
  if (job_.device == DeviceKind::cuda) world_.comm.broadcast(algorithms_, 0);
  const Seat seat{*grid_, threads_, gpu_.place, transport.nccl, broadcast ? &grid_->peers() : nullptr, algorithms_};
  const auto build = [&] { setup_ = std::make_unique<Setup>(job_, survey_, seat); };
  agree(world_.comm, names_, [&] { guarded(build); });
  activities_.scorer.begin(base::Doing::waiting, "waiting for all ranks to load the model");
}

void Run::tune() {
  if (job_.device != DeviceKind::cuda) return;
  activities_.scorer.begin(base::Doing::working, "choosing the GPU's algorithms");
  const base::Stopwatch watch;
  algorithms_ = tune_together({world_.comm, names_, setup_->plain_device(), setup_->transformer(), algorithms_,
                               [&](const auto& work) { guarded(work); }});
  metrics_.set("tune", watch.seconds());
  activities_.scorer.begin(base::Doing::waiting, "waiting for all ranks to choose algorithms");
}

// Of what the ranks of this replica read together; leaders know it.
std::string Run::model_identity() {
  const auto contents = grid_->replica().all_gather(setup_->transformer().load_report().contents);
  std::string identity;
  agree(world_.comm, names_, [&] {
    if (grid_->replica().rank() == 0)
      identity = model::identity(base::real_files(), job_.model, setup_->config(), contents).hex();
  });
  return identity;
}

void Run::settle() {
  const std::string model = model_identity();
  std::map<std::string, std::string> values = setup_->machine_values();
  if (!model.empty()) values = setup_->plan_values(survey_, job_, model);
  std::string identity;
  for (const auto& [name, value] : values) identity += name + " " + value + "\n";
  const auto identities = world_.comm.all_gather(identity);
  agree(world_.comm, names_, [&] {
    expect_same_bits(identities, hosts_);
    plan_ = {values, survey_.shards};
    if (!leads_) return;
    record_->settle(plan_, algorithms_);
  });
}

void Run::work() {
  Setup& setup = *setup_;
  stop_.enter(Stop::Phase::scoring);
  activities_.scorer.begin(base::Doing::working, "measuring the machine");
  world_.comm.barrier();
  guarded([&] {
    const base::BoundThread bound(threads_.first());
    metrics_.set("peak", setup.device().measure_peak(setup.choices().dtype, peak_seconds));
  });
  setup.device().reset();
  setup.device().count_use();
  setup.device().before_steps([&] {
    activities_.scorer.tick();
    comm::throw_if_cancelled();
  });
  const base::Stopwatch watch;
  if (!gpu_.uuids.empty()) meter_ = device::watch_gpu(gpu_.uuids[static_cast<std::size_t>(world_.comm.rank())]);
  guarded([&] {
    engine::Stage stage(setup.transformer(), *grid_, setup.stage_options(), activities_.scorer);
    if (stage.leads()) {
      lead_replica(stage);
    } else {
      const base::BoundThread bound(threads_.first());
      stage.follow();
    }
    metrics_.set("seconds", watch.seconds());
    measure(stage.times());
  });
  activities_.scorer.begin(base::Doing::waiting, "waiting for all ranks to finish");
}

void Run::lead_replica(engine::Stage& stage) {
  const Setup& setup = *setup_;
  engine::ScoreTask task(stage, {setup.choices().tokens_per_batch, setup.choices().rule, setup.choices().columns,
                                 setup.policy().lead, setup.policy().bare_lead, job_.share_prefixes});
  std::optional<store::PartWriter> own_parts;
  if (setup.choices().sharded) own_parts.emplace(base::real_files(), job_.output, plan_);
  const WorkerParts parts{.mailbox = world_.mailbox,
                          .corpus = setup_->corpus(),
                          .shards = survey_.shards,
                          .policy = setup.policy(),
                          .task = task,
                          .columns = setup.choices().columns,
                          .job = plan_.identity(),
                          .own_parts = own_parts ? &*own_parts : nullptr,
                          .scorer_core = threads_.first(),
                          .activities = activities_,
                          .stop = stop_};
  if (leads_)
    coordinate(parts);
  else
    run_worker(parts, metrics_);
  stage.close();
  const engine::ScoreCounts& counts = task.counts();
  const model::ModelConfig& config = setup.config();
  metrics_.set("batches", static_cast<double>(counts.batches));
  metrics_.set("tokens fed", static_cast<double>(counts.tokens_fed));
  metrics_.set("tokens shared", static_cast<double>(counts.tokens_shared));
  metrics_.set("tokens scored", static_cast<double>(counts.tokens_scored));
  metrics_.set("flop", config.block_flops() * static_cast<double>(counts.tokens_fed) +
                           config.head_flops() * static_cast<double>(counts.rows_scored) +
                           config.attention_flops() * counts.visible_keys);
}

// The coordinator on a thread of its own beside this rank's worker.
void Run::coordinate(const WorkerParts& parts) {
  const std::vector<bool>& committed = record_->committed();
  board_.begin(progress_totals(), survey_.shard_count(), std::count(committed.begin(), committed.end(), true));
  board_.enter(State::scoring);
  Progress progress(progress_totals(), base::real_clock(), isatty(STDERR_FILENO) == 1, job_.progress_every);
  const int replicas = grid_->layout().data;
  LeaseQueue queue(record_->committed(), replicas);
  double weight = 0;
  Coordinator coordinator(
      world_.mailbox, replicas, queue,
      {.commit = [&](std::span<const CommittedPart> arrived) { record_->directory().commit(arrived); },
       .committed =
           [&](std::int64_t shard) { weight += static_cast<double>(survey_.weights[static_cast<std::size_t>(shard)]); },
       .advanced =
           [&](const Advance& advance) {
             advance_ = advance;
             shards_left_ = queue.left();
             progress.update(advance, weight);
             board_.advance(advance, weight);
             if (stop_.level() != StopLevel::none) board_.enter(State::stopping);
           },
       .stop = [&] { return stop_.level(); },
       .drop = [&] { base::fail(base::Exit::again, stopped_text()); },
       .took = [&](double shard, double commit) { stop_.learn(shard, commit); }},
      activities_.committer);
  std::exception_ptr error;
  std::thread thread([&] {
    try {
      guarded([&] { coordinator.run(); });
    } catch (...) {
      error = std::current_exception();
    }
  });
  try {
    guarded([&] { run_worker(parts, metrics_); });
  } catch (...) {
    if (!error) error = std::current_exception();
  }
  thread.join();
  shards_left_ = queue.left();
  progress.end();
  if (error) std::rethrow_exception(error);
  metrics_.add("write", coordinator.commit_seconds());
}

ProgressTotals Run::progress_totals() const {
  ProgressTotals totals;
  totals.documents = survey_.shards.back();
  const std::vector<bool>& committed = record_->committed();
  for (std::size_t s = 0; s < committed.size(); ++s) {
    totals.weight += static_cast<double>(survey_.weights[s]);
    if (!committed[s]) continue;
    totals.weight_before += static_cast<double>(survey_.weights[s]);
    totals.documents_before += survey_.shards[s + 1] - survey_.shards[s];
  }
  return totals;
}

void Run::measure(const engine::StageTimes& times) {
  metrics_.set("score", times.computing);
  metrics_.set("wait before", times.waiting_before);
  metrics_.set("wait after", times.waiting_after);
  metrics_.set("peak memory", static_cast<double>(base::peak_memory()));
  setup_->record(metrics_);
  if (job_.device == DeviceKind::cuda)
    note_gpu(metrics_, meter_ ? meter_->stop() : device::GpuUse{}, device::allocated_peak_of(setup_->plain_device()));
}

bool Run::all_committed() {
  const bool left = leads_ && shards_left_ > 0;
  const bool all = world_.comm.all_gather(left ? "left" : "").front().empty();
  if (!all) return false;
  stop_.enter(Stop::Phase::publishing);
  board_.enter(State::merging);
  return true;
}

std::string Run::stopped_text() const {
  const std::int64_t all = survey_.shard_count();
  std::string text = fmt::format(
      "stopped by {}: {} of {} shards are committed, {} of them now; give the same command "
      "again to go on",
      stop_.reason(), all - shards_left_, all, advance_.shards);
  if (advance_.shards == 0) text += " (with a smaller --shard-documents if a shard takes too long)";
  return text;
}

void Run::sample() {
  if (setup_->choices().dtype != tensor::DType::i8) return;
  const bool samples = grid_->place().replica == 0;
  activities_.scorer.begin(samples ? base::Doing::working : base::Doing::waiting, "scoring a sample in int8 and bf16");
  agree(world_.comm, names_, [&] {
    if (!samples) return;
    guarded([&] { outcome_.int8_error = measure_int8({*setup_, job_, survey_, *grid_, activities_.scorer}); });
  });
}

base::Exit Run::stop_early() {
  if (leads_) {
    const std::string text = stopped_text();
    base::info(text);
    board_.end(State::stopped, base::Exit::again, text);
  }
  monitor_.reset();
  return base::Exit::again;
}

base::Exit Run::conclude() {
  for (const std::string& rank : world_.comm.all_gather(metrics_.encode()))
    outcome_.ranks.push_back(base::Metrics::decode(rank));
  base::Exit code = base::Exit::ok;
  agree(world_.comm, names_, [&] {
    if (!leads_) return;
    const base::During during(activities_.scorer, base::Doing::working, "publishing the results");
    outcome_.totals = record_->publish(setup_->choices().columns, setup_->corpus(), attributes_of(outcome_.int8_error));
    code = exit_code(outcome_.totals);
    outcome_.score_seconds = outcome_.ranks.front().value("seconds");
    outcome_.dtype = tensor::name_of(setup_->choices().dtype);
    outcome_.gpus = gpu_.uuids;
    outcome_.device = setup_->device().kind();
    outcome_.isa = setup_->device().isa();
    outcome_.threads = threads_.count;
    outcome_.pinned = !threads_.pinned.empty();
    outcome_.seconds = watch_.seconds();
    if (record_->was_complete())
      base::info(fmt::format("{} is complete: nothing was left to do", job_.output.string()));
    else
      record_->succeed(summary_json(outcome_), run_json(job_, outcome_, hosts_, started_, base::real_clock().utc()));
    board_.end(State::done, code, "");
    // The results are there already: a closed standard output changes nothing.
    const std::string text =
        fmt::format("{}results: {}\n", report_text(outcome_), (record_->directory().path() / "results.h5").string());
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  });
  code = static_cast<base::Exit>(
      unpack_message<FailureHeader>(world_.comm.all_gather(pack_message(FailureHeader{static_cast<int>(code)})).front())
          .code);
  monitor_.reset();
  return code;
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
