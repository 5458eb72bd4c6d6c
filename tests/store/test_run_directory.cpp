#include <boost/test/unit_test.hpp>
#include <cerrno>

#include "base/faulty_files.h"
#include "base/ram_files.h"
#include "base/simulated_disk.h"
#include "store/fixture.h"

using namespace thresher;
using base::Exit;
using store::Columns;
using store::Plan;
using store::RunDirectory;
using tests::RamFiles;
using tests::says;
using tests::SmallCorpus;

namespace {

constexpr std::int64_t documents = 23;
const Columns all{true, true, 2};

// A whole job: scores what is not committed, publishes. Returns results.h5 and rejects.jsonl.
std::string work(RamFiles& files, const Plan& plan, const Columns& columns) {
  SmallCorpus corpus(plan.shards.back());
  RunDirectory run(files, "/run");
  run.settle(plan);
  const std::vector<bool> done = run.committed(plan);
  std::vector<std::string> parts;
  std::vector<RunDirectory::Part> some;
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    parts.push_back(store::build_part(tests::small_rows(plan, shard, columns), columns));
  }
  for (std::size_t shard = 0; shard < parts.size(); ++shard) {  // the first alone, the others together
    if (done[shard]) continue;
    if (shard == 0)
      run.commit(0, parts[0]);
    else
      some.emplace_back(shard, parts[shard]);
  }
  run.commit(some);
  run.publish(plan, columns, corpus);
  run.succeed("{}\n");
  return files.content("/run/results.h5") + files.content("/run/rejects.jsonl");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(run_directory)

BOOST_AUTO_TEST_CASE(parts_keep_their_rows) {
  const Plan plan = tests::small_plan(documents, 7);
  for (const Columns& columns : {Columns{}, Columns{true, false, 0}, Columns{false, true, 0}, all}) {
    const store::Rows rows = tests::small_rows(plan, 2, columns);
    const std::string part = store::build_part(rows, columns);
    BOOST_TEST((part == store::build_part(rows, columns)));
    const store::PartInfo info = store::check_part(part, "part");
    BOOST_TEST(info.shard == 2);
    BOOST_TEST(info.first == 14);
    BOOST_TEST(info.rows == 7);
    BOOST_TEST(info.tokens == static_cast<std::int64_t>(rows.token_id.size()));
    const store::Rows back = store::read_part(part, columns, "part");
    BOOST_TEST((back.status == rows.status));
    BOOST_TEST(back.tokens == rows.tokens);
    BOOST_TEST(back.bytes == rows.bytes);
    BOOST_TEST(back.is_greedy == rows.is_greedy);
    BOOST_TEST(back.token_offsets == rows.token_offsets);
    BOOST_TEST(back.token_logprob == rows.token_logprob);
    BOOST_TEST(back.top_id == rows.top_id);
    BOOST_REQUIRE(back.rejects.size() == rows.rejects.size());
    BOOST_TEST(back.rejects[0].document == rows.rejects[0].document);
    BOOST_TEST(back.rejects[0].reason == rows.rejects[0].reason);
  }
}

BOOST_AUTO_TEST_CASE(a_part_of_the_wrong_size_is_a_bug) {
  store::Rows rows = tests::small_rows(tests::small_plan(documents, 7), 0, all);
  rows.token_rank.pop_back();
  BOOST_CHECK_EXCEPTION(store::build_part(rows, all), base::Error, [](const base::Error& error) {
    return says(error, Exit::internal, {"/token/rank", "expected"});
  });
}

BOOST_AUTO_TEST_CASE(every_damaged_part_is_noticed) {
  const std::string part = store::build_part(tests::small_rows(tests::small_plan(documents, 7), 1, all), all);
  for (std::size_t at = 0; at < part.size(); at += 97) {
    std::string flipped = part;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    BOOST_CHECK_THROW(store::check_part(flipped, "part"), base::Error);
    BOOST_CHECK_THROW(store::check_part(part.substr(0, at), "part"), base::Error);
  }
  for (std::size_t at = part.size() - 64; at < part.size(); ++at) {
    std::string flipped = part;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x01);
    BOOST_CHECK_THROW(store::check_part(flipped, "part"), base::Error);
  }
}

BOOST_AUTO_TEST_CASE(shard_size_does_not_show_in_rows_but_results_are_reproducible) {
  RamFiles first, second;
  BOOST_TEST((work(first, tests::small_plan(documents, 7), all) == work(second, tests::small_plan(documents, 7), all)));
  BOOST_TEST(first.names() == second.names());
}

BOOST_AUTO_TEST_CASE(totals_and_rejects) {
  RamFiles files;
  SmallCorpus corpus(documents);
  const Plan plan = tests::small_plan(documents, 7);
  RunDirectory run(files, "/run");
  run.settle(plan);
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    run.commit(shard, store::build_part(tests::small_rows(plan, shard, all), all));
  }
  const store::Totals totals = run.publish(plan, all, corpus);
  BOOST_TEST(totals.documents == documents);
  BOOST_TEST(totals.by_status[static_cast<int>(store::Status::rejected)] == 4);
  BOOST_TEST(totals.words == 2 * (documents - 4 - 5));
  BOOST_TEST(totals.logprob == -0.125 * (22 * 23 / 2 - 4 - 9 - 14 - 19 - 8 - 12 - 16 - 20),
             boost::test_tools::tolerance(1e-12));
  BOOST_TEST(files.content("/run/rejects.jsonl").substr(0, 85) ==
             "{\"document\": 4, \"id\": \"id-4\", \"status\": \"rejected\", \"reason\": \"number 4 is no good\"}\n");
}

BOOST_AUTO_TEST_CASE(a_missing_part_is_not_published) {
  RamFiles files;
  SmallCorpus corpus(documents);
  const Plan plan = tests::small_plan(documents, 7);
  RunDirectory run(files, "/run");
  run.settle(plan);
  run.commit(0, store::build_part(tests::small_rows(plan, 0, all), all));
  BOOST_CHECK_EXCEPTION(run.publish(plan, all, corpus), base::Error,
                        [](const base::Error& error) { return says(error, Exit::internal, {"shard 1 of 4"}); });
}

BOOST_AUTO_TEST_CASE(damaged_and_misplaced_parts_are_scored_again) {
  RamFiles files;
  const Plan plan = tests::small_plan(documents, 7);
  const std::string expected = work(files, plan, all);
  const std::string part = files.content("/run/parts/part-00000001.h5");
  for (const std::string& bad :
       {part.substr(0, part.size() / 2), files.content("/run/parts/part-00000002.h5"), std::string()}) {
    files.put("/run/parts/part-00000001.h5", bad);
    files.put("/run/parts/.part-00000000.h5.77.0.tmp", "left over");
    files.put("/run/_SUCCESS", "");
    {
      RunDirectory run(files, "/run");
      BOOST_TEST((run.committed(plan) == std::vector<bool>{true, false, true, true}));
      BOOST_TEST(!files.exists("/run/parts/.part-00000000.h5.77.0.tmp"));
      BOOST_TEST(!run.succeeded());
    }
    BOOST_TEST((work(files, plan, all) == expected));
  }
}

BOOST_AUTO_TEST_CASE(the_same_part_twice_is_fine_another_one_is_not) {
  RamFiles files;
  const Plan plan = tests::small_plan(documents, 7);
  RunDirectory run(files, "/run");
  store::Rows rows = tests::small_rows(plan, 0, all);
  run.commit(0, store::build_part(rows, all));
  run.commit(0, store::build_part(rows, all));
  rows.logprob[1] -= 1e-9;
  BOOST_CHECK_EXCEPTION(run.commit(0, store::build_part(rows, all)), base::Error, [](const base::Error& error) {
    return says(error, Exit::internal, {"shard 0", "part-00000000.h5"});
  });
  BOOST_TEST(files.list("/run/parts").size() == 1u);
}

BOOST_AUTO_TEST_CASE(another_plan_is_refused_with_the_difference) {
  RamFiles files;
  const Plan plan = tests::small_plan(documents, 7);
  work(files, plan, all);
  Plan other = tests::small_plan(documents, 8);
  other.values["dtype"] = "bf16";
  other.values["window"] = "512";
  RunDirectory run(files, "/run");
  BOOST_CHECK_EXCEPTION(run.settle(other), base::Error, [](const base::Error& error) {
    return says(error, Exit::config,
                {"dtype: f32 there, bf16 now", "window: absent there, 512 now", "shards: 4 there, 3 now", "--fresh"});
  });
  run.settle(plan);
  run.clear();
  BOOST_TEST(files.names() == (std::vector<std::string>{"/run/.thresher", "/run/lock"}));
  run.settle(other);
}

BOOST_AUTO_TEST_CASE(damaged_plans_are_refused) {
  const Plan plan = tests::small_plan(documents, 7);
  for (const std::string& text :
       {std::string("{"), std::string("[]"), std::string("{\"format\": \"thresher-plan\", \"version\": 9}"),
        std::string(100000, '['), std::string("{\"format\": \"thresher-plan\", \"version\": 1, \"values\": 3}")}) {
    RamFiles files;
    files.put("/run/.thresher", "");
    files.put("/run/plan.json", text);
    RunDirectory run(files, "/run");
    BOOST_CHECK_EXCEPTION(run.settle(plan), base::Error,
                          [](const base::Error& error) { return says(error, Exit::data, {"plan.json"}); });
  }
}

BOOST_AUTO_TEST_CASE(foreign_and_busy_directories_are_refused) {
  RamFiles files;
  files.put("/run/thesis.tex", "");
  BOOST_CHECK_EXCEPTION(RunDirectory(files, "/run"), base::Error, [](const base::Error& error) {
    return says(error, Exit::cannot_create, {"/run", "thesis.tex"});
  });
  RunDirectory run(files, "/other");
  BOOST_CHECK_EXCEPTION(RunDirectory(files, "/other"), base::Error, [](const base::Error& error) {
    return says(error, Exit::again, {"/other", "another process"});
  });
}

// On the machine's own files: links that somebody put into the directory lead nowhere.
BOOST_AUTO_TEST_CASE(links_inside_are_not_followed) {
  const tests::Folder folder;
  const Plan plan = tests::small_plan(documents, 7);
  const std::string part = store::build_part(tests::small_rows(plan, 0, all), all);
  const base::Path secret = folder.put("secret", "keep me");
  const auto refused = [](const auto& call) {
    BOOST_CHECK_EXCEPTION(call(), base::Error,
                          [](const base::Error& error) { return says(error, Exit::permission, {"symbolic link"}); });
  };
  {
    RunDirectory run(base::real_files(), folder / "run");
    run.settle(plan);
    std::filesystem::create_symlink(secret, folder / "run/parts/part-00000000.h5");
    refused([&] { run.committed(plan); });
    refused([&] { run.commit(0, part); });
    std::filesystem::create_symlink(secret, folder / "run/summary.json");
    run.write("summary.json", "{}");
    BOOST_TEST((base::real_files().entry(folder / "run/summary.json") == base::Entry::file));
    std::filesystem::remove(folder / "run/plan.json");
    std::filesystem::create_symlink(secret, folder / "run/plan.json");
    refused([&] { run.settle(plan); });
    run.clear();
  }
  BOOST_TEST(base::real_files().list(folder / "run") == (std::vector<std::string>{".thresher", "lock", "parts"}));
  std::filesystem::remove(folder / "run/parts");
  std::filesystem::create_directory_symlink(folder.path(), folder / "run/parts");
  BOOST_CHECK_EXCEPTION(RunDirectory(base::real_files(), folder / "run"), base::Error, [](const base::Error& error) {
    return says(error, Exit::cannot_create, {"parts is not a directory"});
  });
  BOOST_TEST(base::read_all(base::real_files(), secret, 100) == "keep me");
}

// Fails the k-th operation on the disk for every k, once alone and once with all that follow (a kill, as the disk sees
// it), with and without losing what was not synced; the same command must then finish with the same bytes.
BOOST_AUTO_TEST_CASE(any_operation_may_fail) {
  const Plan plan = tests::small_plan(documents, 7);
  RamFiles undisturbed;
  const std::string expected = work(undisturbed, plan, all);
  const std::int64_t operations = undisturbed.operations();
  BOOST_TEST(operations > 40);
  const std::vector<std::string> names = undisturbed.names();
  for (const int error : {ENOSPC, EIO}) {
    for (int way = 0; way < 4; ++way) {
      for (std::int64_t k = 0; k < operations; ++k) {
        RamFiles files;
        files.fail_at(k, error, (way & 1) != 0);
        BOOST_CHECK_EXCEPTION(work(files, plan, all), base::Error,
                              [](const base::Error& failure) { return says(failure, Exit::io, {"cannot "}); });
        files.heal();
        if ((way & 2) != 0) files.lose_power();
        BOOST_REQUIRE_MESSAGE(work(files, plan, all) == expected, "other results after a fault at operation " << k);
        BOOST_TEST(files.names() == names);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(a_full_disk_is_said_before_or_while_writing) {
  const Plan plan = tests::small_plan(documents, 7);
  RamFiles undisturbed;
  const std::string expected = work(undisturbed, plan, all);
  for (const bool admit : {true, false}) {
    for (std::int64_t bytes = 0; bytes < 48 * 1024; bytes += 1024) {
      RamFiles files;
      files.limit(bytes, admit);
      BOOST_CHECK_EXCEPTION(work(files, plan, all), base::Error, [&](const base::Error& error) {
        return says(error, Exit::io, {"/run"}) &&
               std::string(error.what()).find(admit ? "" : "No space left") != std::string::npos;
      });
      files.heal();
      BOOST_TEST((work(files, plan, all) == expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(read_errors_do_not_publish) {
  const Plan plan = tests::small_plan(documents, 7);
  RamFiles files;
  const std::string expected = work(files, plan, all);
  files.fail_read_at(-1, EIO);
  work(files, plan, all);
  const std::int64_t reads = files.reads();
  for (std::int64_t k = 0; k < reads; ++k) {
    files.fail_read_at(k, EIO);
    BOOST_CHECK_EXCEPTION(work(files, plan, all), base::Error,
                          [](const base::Error& error) { return says(error, Exit::io, {"/run"}); });
    files.heal();
    BOOST_TEST((work(files, plan, all) == expected));
  }
}

// A machine that was cut off goes on with the old job after --fresh.
BOOST_AUTO_TEST_CASE(a_part_of_another_job_is_in_the_way_until_the_next_launch) {
  RamFiles files;
  Plan before = tests::small_plan(documents, 7), now = before;
  before.values["dtype"] = "bf16";
  now.values["dtype"] = "f32";
  const auto part_of = [](const Plan& plan) {
    return store::build_part(tests::small_rows(plan, 1, all), all, plan.identity());
  };
  const std::string old_part = part_of(before), part = part_of(now);
  RunDirectory run(files, "/run");
  run.settle(before);
  store::PartWriter straggler(files, "/run", before);
  run.clear();
  run.settle(now);
  run.committed(now);
  const store::PartWriter::Part one(1, old_part);
  straggler.commit(std::span(&one, 1));
  BOOST_CHECK_EXCEPTION(run.commit(1, part), base::Error, [](const base::Error& error) {
    return says(error, Exit::again, {"part-00000001.h5", "of another job"});
  });
  BOOST_TEST(!run.committed(now)[1]);
  run.commit(1, part);
  BOOST_CHECK_EXCEPTION(straggler.commit(std::span(&one, 1)), base::Error,
                        [](const base::Error& error) { return says(error, Exit::again, {"of another job"}); });
  BOOST_TEST((files.content("/run/parts/part-00000001.h5") == part));
}

// The marker says that the directory is ours: it is durable before anything else is there.
BOOST_AUTO_TEST_CASE(a_directory_stays_ours_after_deaths_and_power_losses) {
  for (std::int64_t death = 0; death < 12; ++death)
    for (std::int64_t second = 0; second < 16; ++second)
      for (std::uint64_t seed = 0; seed < 8; ++seed) {
        tests::SimulatedDisk disk;
        disk.make_directories("/home");
        disk.sync_directory("/");
        for (const std::int64_t call : {death, second}) {
          tests::FaultyFiles files(disk);
          files.inject({.kind = tests::Fault::Kind::crash, .at = call});
          try {
            RunDirectory run(files, "/home/run");
            run.settle(tests::small_plan(documents, 7));
          } catch (const tests::Crash&) {
          }
        }
        tests::Random random(seed);
        disk.lose_power(random, tests::Survival::any, tests::Survival::any);
        BOOST_TEST_CONTEXT("deaths " << death << " and " << second << ", seed " << seed)
        BOOST_REQUIRE_NO_THROW(RunDirectory(disk, "/home/run"));
      }
}

// Also when the process that made the folders died before it could sync them.
BOOST_AUTO_TEST_CASE(new_folders_above_the_run_directory_are_durable) {
  tests::SimulatedDisk disk;
  disk.make_directories("/home");
  disk.sync_directory("/");
  disk.make_directories("/home/some/where/run");
  const Plan plan = tests::small_plan(documents, 7);
  const std::string part = store::build_part(tests::small_rows(plan, 0, all), all);
  {
    RunDirectory run(disk, "/home/some/where/run");
    run.settle(plan);
    run.commit(0, part);
  }
  tests::Random random(1);
  disk.lose_power(random, tests::Survival::nothing, tests::Survival::nothing);
  BOOST_TEST((disk.content("/home/some/where/run/parts/part-00000000.h5") == part));
}

BOOST_AUTO_TEST_SUITE_END()
