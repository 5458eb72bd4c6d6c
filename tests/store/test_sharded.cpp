#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>

#include "base/ram_files.h"
#include "store/fixture.h"

using namespace thresher;
using base::Exit;
using store::Columns;
using store::PartWriter;
using store::Plan;
using store::RunDirectory;
using tests::Folder;
using tests::RamFiles;
using tests::says;

namespace {

constexpr std::int64_t documents = 23;
const Columns all{true, true, 2};

std::string part_of(const Plan& plan, std::int64_t shard) {
  return store::build_part(tests::small_rows(plan, shard, all), all, plan.identity());
}

// A whole sharded job with two writers besides the process that leads. Gives results.h5 and rejects.jsonl.
std::string work(RamFiles& files, const Plan& plan) {
  tests::SmallCorpus corpus(plan.shards.back());
  RunDirectory run(files, "/run");
  run.settle(plan);
  const std::vector<bool> done = run.committed(plan);
  PartWriter writers[] = {PartWriter(files, "/run", plan), PartWriter(files, "/run", plan)};
  for (std::size_t shard = 0; shard < done.size(); ++shard) {
    const std::string bytes = part_of(plan, static_cast<std::int64_t>(shard));
    const PartWriter::Part part(shard, bytes);
    if (!done[shard]) writers[shard % 2].commit(std::span(&part, 1));
  }
  run.publish(plan, all, corpus);
  run.succeed("{}\n");
  return files.content("/run/results.h5") + files.content("/run/rejects.jsonl");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sharded_output)

BOOST_AUTO_TEST_CASE(plans_have_identities) {
  const Plan plan = tests::small_plan(documents, 7);
  BOOST_TEST(!plan.sharded());
  BOOST_TEST(tests::sharded(plan).sharded());
  BOOST_TEST(plan.identity().size() == 32u);
  BOOST_TEST(plan.identity() == tests::small_plan(documents, 7).identity());
  BOOST_TEST(plan.identity() != tests::sharded(plan).identity());
  BOOST_TEST(plan.identity() != tests::small_plan(documents, 6).identity());
}

BOOST_AUTO_TEST_CASE(any_operation_may_fail) {
  const Plan plan = tests::sharded(tests::small_plan(documents, 7));
  RamFiles undisturbed;
  const std::string expected = work(undisturbed, plan);
  const std::int64_t operations = undisturbed.operations();
  BOOST_TEST(operations > 40);
  for (int way = 0; way < 4; ++way) {
    for (std::int64_t k = 0; k < operations; ++k) {
      RamFiles files;
      files.fail_at(k, ENOSPC, (way & 1) != 0);
      BOOST_CHECK_EXCEPTION(work(files, plan), base::Error,
                            [](const base::Error& failure) { return says(failure, Exit::io, {"cannot "}); });
      files.heal();
      if ((way & 2) != 0) files.lose_power();
      BOOST_REQUIRE_MESSAGE(work(files, plan) == expected, "other results after a fault at operation " << k);
      BOOST_TEST(files.names() == undisturbed.names());
    }
  }
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_said) {
  const Plan plan = tests::sharded(tests::small_plan(documents, 7));
  RamFiles undisturbed;
  const std::string expected = work(undisturbed, plan);
  for (std::int64_t bytes = 0; bytes < 48 * 1024; bytes += 1024) {
    RamFiles files;
    files.limit(bytes, bytes % 2048 == 0);
    BOOST_CHECK_EXCEPTION(work(files, plan), base::Error,
                          [](const base::Error& error) { return says(error, Exit::io, {"/run"}); });
    files.heal();
    BOOST_TEST((work(files, plan) == expected));
  }
}

BOOST_AUTO_TEST_CASE(totals_and_rejects_are_those_of_gathered_results) {
  RamFiles gathered, sharded;
  const Plan plan = tests::small_plan(documents, 7);
  const store::Totals a = tests::small_run(gathered, "/run", plan, all);
  const store::Totals b = tests::small_run(sharded, "/run", tests::sharded(plan), all);
  BOOST_TEST(a.documents == b.documents);
  BOOST_TEST(a.tokens == b.tokens);
  BOOST_TEST(a.logprob == b.logprob);
  BOOST_TEST(gathered.content("/run/rejects.jsonl") == sharded.content("/run/rejects.jsonl"));
  BOOST_TEST(gathered.content("/run/results.h5") != sharded.content("/run/results.h5"));
}

BOOST_AUTO_TEST_CASE(writers_of_one_shard_agree_or_say_so) {
  const Folder folder;
  const Plan plan = tests::sharded(tests::small_plan(documents, 7));
  RunDirectory run(base::real_files(), folder / "run");
  run.settle(plan);
  run.committed(plan);
  // Processes and threads, all with the same parts.
  std::vector<pid_t> processes;
  for (int i = 0; i < 3; ++i) {
    const pid_t process = ::fork();
    BOOST_REQUIRE(process >= 0);
    if (process == 0) {
      int code = 0;
      try {
        PartWriter writer(base::real_files(), folder / "run", plan);
        for (int again = 0; again < 20; ++again) {
          for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
            const std::string bytes = part_of(plan, shard);
            const PartWriter::Part part(shard, bytes);
            writer.commit(std::span(&part, 1));
          }
        }
      } catch (const std::exception& error) {
        code = 1;
        std::fprintf(stderr, "%s\n", error.what());
      }
      ::_exit(code);
    }
    processes.push_back(process);
  }
  for (const pid_t process : processes) {
    int status = -1;
    ::waitpid(process, &status, 0);
    BOOST_TEST(status == 0);
  }
  BOOST_TEST(base::real_files().list(folder / "run/parts").size() == 4u);
  store::Rows rows = tests::small_rows(plan, 2, all);
  rows.words[0] = 77;
  const std::string other = store::build_part(rows, all, plan.identity());
  const PartWriter::Part part(2, other);
  PartWriter writer(base::real_files(), folder / "run", plan);
  BOOST_CHECK_EXCEPTION(writer.commit(std::span(&part, 1)), base::Error, [&](const base::Error& error) {
    return says(error, Exit::internal,
                {"part-00000002.h5", store::check_part(other, "").digest.hex(),
                 store::check_part(part_of(plan, 2), "").digest.hex()});
  });
}

BOOST_AUTO_TEST_CASE(a_writer_has_to_see_the_plan) {
  RamFiles files;
  const Plan plan = tests::sharded(tests::small_plan(documents, 7));
  const auto refused = [&](const std::vector<std::string>& words) {
    BOOST_CHECK_EXCEPTION(PartWriter(files, "/run", plan), base::Error,
                          [&](const base::Error& error) { return says(error, Exit::config, words); });
  };
  refused({"/run/plan.json is not there", "--output-mode gather"});
  RunDirectory run(files, "/run");
  refused({"/run/plan.json is not there"});
  Plan other = plan;
  other.values["dtype"] = "bf16";
  run.settle(other);
  refused({"another job", "dtype: bf16 there, f32 now"});
}

BOOST_AUTO_TEST_CASE(parts_of_another_job_are_scored_again) {
  RamFiles files;
  const Plan plan = tests::sharded(tests::small_plan(documents, 7));
  const std::string expected = work(files, plan);
  Plan other = plan;
  other.values["dtype"] = "bf16";
  files.put("/run/parts/part-00000002.h5", part_of(other, 2));
  {
    RunDirectory run(files, "/run");
    tests::SmallCorpus corpus(documents);
    BOOST_CHECK_EXCEPTION(run.publish(plan, all, corpus), base::Error, [](const base::Error& error) {
      return says(error, Exit::data, {"part-00000002.h5 is of another job"});
    });
    BOOST_TEST(run.committed(plan) == (std::vector<bool>{true, true, false, true}));
  }
  BOOST_TEST((work(files, plan) == expected));
}

BOOST_AUTO_TEST_SUITE_END()
