#include "simulation/simulation.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/simulated_disk.h"
#include "simulation/mistakes.h"
#include "simulation/straggler.h"
#include "simulation/world.h"
#include "thresher/base/hash.h"
#include "thresher/store/verify.h"

namespace thresher::simulation {
namespace {

using tests::Fault;
using tests::Operation;

constexpr std::int64_t most_disturbed = 6;  // launches of a job; the one after them gets through
constexpr int real_share = 4000;            // one job in so many uses HDF5 for everything
constexpr int verify_share = 1000;          // one in so many is verified though its bytes are known

RememberingCodec& remembering() {
  static RememberingCodec codec;
  return codec;
}

int some_error(tests::Random& random) {
  constexpr std::array<int, 6> errors{ENOSPC, EIO, EDQUOT, EINTR, EROFS, EMFILE};
  return errors[static_cast<std::size_t>(random.below(errors.size()))];
}

// A number from 0 to `most` - 1, small ones as often as large ones.
std::int64_t some_count(tests::Random& random, std::int64_t most) {
  return random.below(random.once_in(2) ? most : std::min<std::int64_t>(most, 12));
}

class Job {
 public:
  Job(std::uint64_t seed, Mistake mistake);
  Tally run();

 private:
  const World& choose_world();
  int choose_ranks();
  Fault choose_fault(Fault::Kind kind);
  Disturbance choose_disturbance(int ranks);
  Disturbance choose_death();
  std::int64_t most_calls() const;
  Outcome launch(bool disturbed);
  Outcome launch(const Disturbance& disturbance, int ranks);
  void leave_straggler(const Outcome& outcome);
  void damage_part();
  void look_at_errors(const Outcome& outcome, const Disturbance& disturbance) const;
  void expect_whole_files() const;
  void expect_finished();
  void verify();
  bool is_expected(const std::string& name, const std::string& content) const;
  void note(std::uint64_t value) { tally_.trace = (tally_.trace ^ value) * 0x100000001b3; }
  void note(const std::string& text) {
    for (const char c : text) note(static_cast<std::uint64_t>(c));
  }

  const std::uint64_t seed_;
  const Mistake mistake_;
  tests::Random random_;
  tests::SimulatedDisk disk_;
  CarelessFiles careless_{disk_, mistake_};
  const base::Path directory_;
  const bool real_;
  store::Codec& codec_;
  DoneList done_list_{"/scratch/done"};
  CommitRule plain_rule_;
  const World* world_;
  const World* before_ = nullptr;      // what another job left here, which --fresh removes
  std::optional<std::int64_t> focus_;  // of a job that always dies at about the same call
  bool fresh_ = false, lost_power_ = false;
  std::set<std::int64_t> acknowledged_;
  std::unique_ptr<Straggler> straggler_;
  std::map<std::string, std::string> damaged_;  // files that were damaged, until a launch gets through
  Tally tally_;
};

Job::Job(std::uint64_t seed, Mistake mistake)
    : seed_(seed),
      mistake_(mistake),
      random_(seed),
      disk_(!random_.once_in(8)),
      directory_(random_.once_in(4) ? "/scratch/some/where/run" : "/scratch/run"),
      real_(random_.once_in(real_share)),
      codec_(real_ ? store::hdf5_codec() : remembering()),
      world_(&choose_world()) {
  if (random_.once_in(6)) focus_ = random_.once_in(2) ? 0 : random_.below(most_calls());
  disk_.make_directories("/scratch");
  disk_.sync_directory("/");
}

const World& Job::choose_world() {
  int number = static_cast<int>(random_.below(worlds));
  if (mistake_ == Mistake::done_list) number -= number % 2;  // rank zero commits
  return world(number);
}

int Job::choose_ranks() {
  if (random_.once_in(12)) return static_cast<int>(random_.between(9, 64));
  return static_cast<int>(random_.between(1, random_.once_in(2) ? 3 : 8));
}

// That an undisturbed job makes to change the disk, about: some at both ends and some for each part.
std::int64_t Job::most_calls() const {
  return 60 + 8 * static_cast<std::int64_t>(world_->parts.size());
}

Fault Job::choose_fault(Fault::Kind kind) {
  Fault fault{
      .kind = kind, .error = some_error(random_), .at = some_count(random_, most_calls()), .share = random_.share()};
  if (kind != Fault::Kind::crash) {
    if (random_.once_in(2)) {
      fault.operation = static_cast<Operation>(random_.below(tests::operation_count));
      fault.at = some_count(random_, 40);
    }
    fault.from_then_on = random_.once_in(2);
  }
  // A disk that turned read-only stays so, for everybody.
  if (fault.error == EROFS) {
    fault.operation.reset();
    fault.from_then_on = true;
  }
  return fault;
}

// Dies again and again at about the same place, often with the power.
Disturbance Job::choose_death() {
  Fault death{.kind = Fault::Kind::crash, .at = *focus_ + random_.below(16), .share = random_.share()};
  Disturbance disturbance{.faults = {{0, death}}};
  disturbance.power = random_.once_in(2);
  return disturbance;
}

Disturbance Job::choose_disturbance(int ranks) {
  if (focus_) return choose_death();
  Disturbance disturbance;
  const auto some_rank = [&] { return random_.once_in(2) ? 0 : static_cast<int>(random_.below(ranks)); };
  for (std::int64_t count = random_.once_in(4) ? 2 : 1; count > 0; --count) {
    switch (random_.below(8)) {
      case 0:
      case 1:
        disturbance.faults.emplace_back(some_rank(), choose_fault(Fault::Kind::crash));
        break;
      case 2:
        disturbance.kill_at = 0.1 * random_.share() * random_.share();
        disturbance.killed = random_.once_in(2) ? -1 : some_rank();
        break;
      case 3:
        disturbance.faults.emplace_back(some_rank(), choose_fault(Fault::Kind::error));
        break;
      case 4:
        disturbance.faults.emplace_back(
            some_rank(), choose_fault(random_.once_in(2) ? Fault::Kind::short_write : Fault::Kind::late_error));
        break;
      case 5:
        disk_.limit(random_.below(1 << random_.between(12, 20)), random_.once_in(2));
        break;
      case 6:
        disturbance.stop_at = 0.1 * random_.share() * random_.share();
        disturbance.stop = random_.once_in(3) ? schedule::StopLevel::drop : schedule::StopLevel::finish;
        break;
      default:
        disturbance.faults.emplace_back(some_rank(), choose_fault(Fault::Kind::crash));
        disturbance.power = true;
    }
  }
  return disturbance;
}

Outcome Job::launch(bool disturbed) {
  const int ranks = choose_ranks();
  disk_.no_limit();
  Disturbance disturbance;
  if (disturbed) disturbance = choose_disturbance(ranks);
  if (random_.once_in(16)) {
    disturbance.intruder_at = 0.1 * random_.share() * random_.share();
    ++tally_.intruders;
  }
  const std::unique_ptr<Straggler> straggler = std::move(straggler_);
  if (!straggler) return launch(disturbance, ranks);
  // It writes all at once in the middle of the launch, or the launch happens in the middle of its writing.
  const std::int64_t call = some_count(random_, 60);
  Outcome outcome;
  bool launched = false;
  const auto launch_now = [&] {
    launched = true;
    outcome = launch(disturbance, ranks);
    if (lost_power_) straggler->die();
  };
  if (random_.once_in(2)) {
    straggler->write_on(call / 4, launch_now);
  } else {
    disturbance.meanwhile = [&] { straggler->write_on(0, {}); };
    disturbance.meanwhile_call = call;
  }
  if (!launched) launch_now();
  return outcome;
}

// A machine was cut off when the job ended: one of its processes does not know.
void Job::leave_straggler(const Outcome& outcome) {
  if (!outcome.settled || outcome.end == End::finished || !world_->plan.sharded() || !random_.once_in(4)) return;
  straggler_ = std::make_unique<Straggler>(tally_.stragglers++, disk_, directory_, *world_, random_);
}

// A disk that forgets, or a hand that slips.
void Job::damage_part() {
  const std::string parts = (directory_ / "parts").string() + "/part-";
  for (const std::string& path : disk_.names()) {
    if (!path.starts_with(parts) || !random_.once_in(2)) continue;
    std::string content = disk_.content(path);
    if (random_.once_in(2))
      content.resize(static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(content.size()))));
    else
      content[static_cast<std::size_t>(random_.below(static_cast<std::int64_t>(content.size())))] ^= 4;
    disk_.damage(path, content);
    damaged_[path] = content;
    acknowledged_.erase(std::stoll(path.substr(parts.size())));
    ++tally_.damaged;
    return;
  }
}

Outcome Job::launch(const Disturbance& disturbance, int ranks) {
  Outcome outcome;
  {
    CommitRule& rule = mistake_ == Mistake::done_list ? done_list_ : plain_rule_;
    base::FileSystem& disk = mistake_ == Mistake::none ? static_cast<base::FileSystem&>(disk_) : careless_;
    Launch launch({tally_.launches, disk, directory_, *world_, ranks, fresh_, codec_, real_, rule, disturbance},
                  random_, acknowledged_);
    outcome = launch.run();
    tally_.events += launch.events();
    note(static_cast<std::uint64_t>(launch.events()));
  }
  ++tally_.launches;
  tally_.ranks += ranks;
  note(static_cast<std::uint64_t>(outcome.end));
  if (outcome.error) note(outcome.error->what());
  if (outcome.settled) fresh_ = false;
  look_at_errors(outcome, disturbance);
  lost_power_ = outcome.end == End::killed && disturbance.power;
  if (!lost_power_) return outcome;
  disk_.lose_power(random_);
  ++tally_.power_losses;
  return outcome;
}

// Every error has a code for it and says where and why.
void Job::look_at_errors(const Outcome& outcome, const Disturbance& disturbance) const {
  if (outcome.end != End::failed) return;
  const std::string text = outcome.error->what();
  const base::Exit code = outcome.error->code();
  if (code == base::Exit::again && disturbance.stop == schedule::StopLevel::drop) return;
  bool known = text.find(" are free") != std::string::npos || text.find(std::strerror(ENOSPC)) != std::string::npos;
  for (const auto& fault : disturbance.faults)
    known |= text.find(std::strerror(fault.second.error)) != std::string::npos;
  const bool coded = code == base::Exit::io || code == base::Exit::no_input || code == base::Exit::cannot_create ||
                     code == base::Exit::permission || code == base::Exit::os;
  if (!known || !coded || text.find(" /") == std::string::npos)
    throw Broken(fmt::format("ends with {}: {}", static_cast<int>(code), text));
}

bool Job::is_expected(const std::string& name, const std::string& content) const {
  for (const World* world : {world_, before_}) {
    if (!world) continue;
    const auto found = world->finished.find(name);
    if (found != world->finished.end() && found->second == content) return true;
  }
  return false;
}

// Whatever has its own name is complete.
void Job::expect_whole_files() const {
  const std::string below = directory_.string() + "/";
  for (const std::string& path : disk_.names()) {
    if (!path.starts_with(below) || path.ends_with(".tmp")) continue;
    const std::string name = path.substr(below.size());
    if (name == "lock" || name == "parts" || name == "logs" || is_expected(name, disk_.content(path))) continue;
    if (const auto found = damaged_.find(path); found != damaged_.end() && found->second == disk_.content(path))
      continue;
    throw Broken(fmt::format("{} has its name and {} bytes that are not its own", name, disk_.content(path).size()));
  }
}

void Job::expect_finished() {
  for (const auto& [name, content] : world_->finished)
    if (disk_.content(directory_ / name) != content)
      throw Broken(fmt::format("{} differs from that of an undisturbed job: {} bytes, expected {}", name,
                               disk_.content(directory_ / name).size(), content.size()));
  const std::string below = directory_.string() + "/";
  for (const std::string& path : disk_.names()) {
    const std::string name = path.starts_with(below) ? path.substr(below.size()) : "lock";
    // A straggler cleans up behind itself, but that is not durable.
    if (tally_.stragglers > 0 && name.find(".straggler-") != std::string::npos) continue;
    if (name != "lock" && name != "parts" && name != "logs" && !world_->finished.contains(name))
      throw Broken(name + " is left after success");
  }
}

// The directory holds what an undisturbed job leaves, so that one look at each kind would do; some have another.
void Job::verify() {
  static std::set<const World*> seen;
  const bool again = real_ || seed_ % verify_share == 0;
  if (!again && !seen.insert(world_).second) return;
  ++tally_.verified;
  const store::Verification found = store::verify_run(disk_, directory_, 3);
  if (!found.finished || found.fault_count > 0 || found.totals.documents != world_->plan.shards.back())
    throw Broken(fmt::format("verify: {}", found.faults.empty() ? "not finished" : found.faults.front()));
}

Tally Job::run() {
  const std::int64_t disturbed = random_.between(1, most_disturbed);
  const std::int64_t fresh_at = random_.once_in(16) ? random_.below(disturbed) : -1;
  for (std::int64_t number = 0; number <= disturbed; ++number) {
    if (number == fresh_at) {
      straggler_.reset();
      before_ = world_;
      world_ = &choose_world();
      fresh_ = true;
    }
    const Outcome outcome = launch(number < disturbed);
    expect_whole_files();
    if (outcome.end != End::killed || !lost_power_) leave_straggler(outcome);
    const bool success = outcome.end == End::finished;
    tally_.finished += success;
    tally_.stopped += outcome.end == End::stopped;
    tally_.failed += outcome.end == End::failed;
    tally_.killed += outcome.end == End::killed;
    if (number == disturbed && !success)
      throw Broken("undisturbed, and still not finished: " +
                   (outcome.error ? std::string(outcome.error->what()) : "no error"));
    if (!success) {
      if (random_.once_in(16)) damage_part();
      continue;
    }
    damaged_.clear();
    expect_finished();
    verify();
    if (random_.once_in(4)) {
      disk_.lose_power(random_);
      ++tally_.power_losses;
      expect_finished();
    }
    if (random_.once_in(8))
      damage_part();
    else if (random_.once_in(2))
      break;  // else a job that is complete is launched again
  }
  tally_.jobs = 1;
  return tally_;
}

}  // namespace

void Tally::add(const Tally& other) {
  jobs += other.jobs;
  launches += other.launches;
  ranks += other.ranks;
  events += other.events;
  finished += other.finished;
  stopped += other.stopped;
  failed += other.failed;
  killed += other.killed;
  power_losses += other.power_losses;
  stragglers += other.stragglers;
  intruders += other.intruders;
  damaged += other.damaged;
  verified += other.verified;
  trace = (trace ^ other.trace) * 0x100000001b3;
}

Tally simulate_job(std::uint64_t seed, Mistake mistake) {
  return Job(seed, mistake).run();
}

}  // namespace thresher::simulation
