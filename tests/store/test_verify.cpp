#include <hdf5.h>

#include <boost/test/unit_test.hpp>
#include <cerrno>

#include "base/faulty_files.h"
#include "store/fixture.h"
#include "thresher/store/verify.h"

using namespace thresher;
using base::Exit;
using store::Columns;
using store::Plan;
using store::Status;
using store::Verification;
using tests::Folder;
using tests::says;

namespace {

constexpr std::int64_t documents = 23;
const Columns all{true, true, 2};

// The totals as summary.json holds them.
std::string summary_of(const store::Totals& totals) {
  std::string text = "{\"documents\": " + std::to_string(totals.documents) + ", \"documents_by_status\": {";
  for (int status = 0; status < 5; ++status)
    text += (status > 0 ? ", \"" : "\"") + std::string(store::name_of(static_cast<store::Status>(status))) +
            "\": " + std::to_string(totals.by_status[status]);
  char logprob[40];
  std::snprintf(logprob, sizeof logprob, "%.17g", totals.logprob);
  return text + "}, \"tokens\": " + std::to_string(totals.tokens) + ", \"bytes\": " + std::to_string(totals.bytes) +
         ", \"words\": " + std::to_string(totals.words) + ", \"logprob\": " + logprob + ", \"seconds\": 1.5}\n";
}

// A run that is complete, gathered or sharded.
struct Finished {
  explicit Finished(bool sharded, const Columns& columns = all, std::int64_t count = documents)
      : plan(sharded ? tests::sharded(tests::small_plan(count, 7)) : tests::small_plan(count, 7)) {
    totals = tests::small_run(base::real_files(), path(), plan, columns);
    store::RunDirectory run(base::real_files(), path());
    run.write("summary.json", summary_of(totals));
    run.succeed(summary_of(totals));
  }
  base::Path path() const { return folder / "run"; }
  std::string part(int shard) const { return "parts/part-0000000" + std::to_string(shard) + ".h5"; }
  std::string bytes(const std::string& name) const {
    return base::read_all(base::real_files(), path() / name, 1 << 24);
  }
  void put(const std::string& name, const std::string& content) const { folder.put("run/" + name, content); }
  Verification verify(std::size_t most = 100) const { return store::verify_run(base::real_files(), path(), most); }

  Folder folder;
  Plan plan;
  store::Totals totals;
};

// There is exactly one fault, and it says this.
void one_fault(const Finished& run, const std::vector<std::string>& words) {
  const Verification found = run.verify();
  BOOST_TEST(found.finished);
  BOOST_REQUIRE(found.faults.size() >= 1u);
  BOOST_TEST(found.fault_count == 1);
  for (const std::string& fault : found.faults) {
    for (const std::string& word : words) BOOST_TEST(fault.find(word) != std::string::npos, fault);
  }
}

// Part 1 with other rows, but whole and of this job.
std::string other_part(const Finished& run, const auto& change) {
  store::Rows rows = tests::small_rows(run.plan, 1, all);
  change(rows);
  return store::build_part(rows, all, run.plan.identity());
}

void write_number(const base::Path& path, const char* dataset, hid_t type, std::size_t at, const auto& value) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT), set = H5Dopen2(file, dataset, H5P_DEFAULT);
  const hid_t space = H5Dget_space(set), one = H5Screate(H5S_SCALAR);
  const hsize_t point = at;
  H5Sselect_elements(space, H5S_SELECT_SET, 1, &point);
  BOOST_REQUIRE(H5Dwrite(set, type, one, space, H5P_DEFAULT, &value) >= 0);
  H5Sclose(one);
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(verification)

BOOST_AUTO_TEST_CASE(complete_runs_are_without_fault) {
  for (const bool sharded : {false, true}) {
    for (const Columns& columns : {Columns{}, Columns{true, false, 0}, Columns{false, true, 0}, all}) {
      for (const std::int64_t count : {0, 1, 23}) {
        const Finished run(sharded, columns, count);
        const Verification found = run.verify();
        BOOST_TEST(found.fault_count == 0, (found.faults.empty() ? "" : found.faults[0]));
        BOOST_TEST(found.finished);
        BOOST_TEST(found.sharded == sharded);
        BOOST_TEST(found.committed == run.plan.shard_count());
        BOOST_TEST(found.totals.documents == count);
        BOOST_TEST(found.totals.logprob == run.totals.logprob);
        BOOST_TEST((found.tokens > 0) == (columns.per_token && count == 23));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(every_byte_of_a_part_counts) {
  const Finished run(false);
  const std::string good = run.bytes(run.part(1));
  for (std::size_t at = 0; at < good.size(); at += 331) {
    std::string flipped = good;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    run.put(run.part(1), flipped);
    one_fault(run, {"part-00000001.h5"});
  }
}

BOOST_AUTO_TEST_CASE(parts_missing_twice_or_foreign) {
  for (const bool sharded : {false, true}) {
    const Finished run(sharded);
    const std::string good = run.bytes(run.part(1));
    base::real_files().remove(run.path() / run.part(1));
    one_fault(run, {"part-00000001.h5 is missing"});
    run.put(run.part(1), run.bytes(run.part(2)));
    one_fault(run, {"part-00000001.h5 holds shard 2, expected 1"});
    Plan other = run.plan;
    other.values["dtype"] = "bf16";
    run.put(run.part(1), store::build_part(tests::small_rows(other, 1, all), all, other.identity()));
    one_fault(run, {"part-00000001.h5 is of another job"});
    run.put(run.part(1), store::build_part(tests::small_rows(run.plan, 1, {}), {}, run.plan.identity()));
    one_fault(run, {"part-00000001.h5 holds other columns"});
    run.put(run.part(1), good);
    run.put("parts/part-00000004.h5", good);
    one_fault(run, {"part-00000004.h5 is no part of this job of 4 shards"});
    base::real_files().remove(run.path() / "parts/part-00000004.h5");
    run.put("parts/part-1.h5", good);
    one_fault(run, {"part-1.h5 is no part"});
  }
}

BOOST_AUTO_TEST_CASE(other_rows_in_a_part) {
  for (const bool sharded : {false, true}) {
    const Finished run(sharded);
    run.put(run.part(1), other_part(run, [](store::Rows& rows) { rows.words[3] += 1; }));
    const Verification found = run.verify();
    BOOST_TEST(found.fault_count == 3);  // and both sums
    BOOST_REQUIRE(!found.faults.empty());
    BOOST_TEST(found.faults[0].find(sharded ? "part-00000001.h5 is not the part"
                                            : "/words differs from parts/part-00000001"
                                              ".h5 in row 3") != std::string::npos,
               found.faults[0]);
    BOOST_TEST(run.verify(1).faults.size() == 1u);
  }
}

BOOST_AUTO_TEST_CASE(values_that_cannot_be) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  const Finished run(false);
  const auto says_of_part = [&](const auto& change, const std::string& words) {
    run.put(run.part(1), other_part(run, change));
    bool said = false;
    for (const std::string& fault : run.verify().faults) said = said || fault.find(words) != std::string::npos;
    BOOST_TEST(said, words);
  };
  says_of_part([](store::Rows& rows) { rows.logprob[2] = -1; }, "document 9 has logprob -1 with status rejected");
  says_of_part([](store::Rows& rows) { rows.tokens[4] = 2; }, "document 11 has 3 of 2 tokens");
  says_of_part([](store::Rows& rows) { rows.bytes[0] = -5; }, "-5 bytes");
  constexpr double infinite = std::numeric_limits<double>::infinity();
  says_of_part([](store::Rows& rows) { rows.is_greedy[0] = 7; }, "is_greedy 7");
  says_of_part([](store::Rows& rows) { rows.is_greedy[0] = 1; }, "document 7 has is_greedy 1, but its tokens' ranks");
  says_of_part([](store::Rows& rows) { rows.is_greedy[2] = 1; }, "document 9 has is_greedy 1 with status rejected");
  says_of_part([](store::Rows& rows) { rows.logprob[0] = nan; }, "document 7 has logprob nan with status ok");
  says_of_part([](store::Rows& rows) { rows.logprob[0] = -infinite; }, "document 7 has logprob -inf with status ok");
  says_of_part([](store::Rows& rows) { rows.logprob[0] = 3; }, "document 7 has logprob 3 above 0 over 3 tokens");
  says_of_part([](store::Rows& rows) { rows.logprob[0] -= 1e-6; }, "but its tokens' sum is -0.875");
  says_of_part([](store::Rows& rows) { rows.status[1] = Status::ok, rows.logprob[1] = -1; },
               "document 8 has 0 tokens with status ok");
  says_of_part([](store::Rows& rows) { rows.status[0] = Status::empty, rows.logprob[0] = nan; },
               "document 7 has 3 tokens with status empty");
  says_of_part([](store::Rows& rows) { rows.status[0] = Status::nan, rows.logprob[0] = nan, rows.is_greedy[0] = 0; },
               "status nan, but its tokens' sum is -0.875");
  says_of_part([](store::Rows& rows) { rows.token_logprob[1] = 0.5f; }, "logprob 0.5 of token 1");
  says_of_part([](store::Rows& rows) { rows.token_entropy[1] = -2; }, "entropy -2 of token 1");
  says_of_part([](store::Rows& rows) { rows.top_logprob[3] = 0.25f; }, "top_logprob 0.25 in place 1");
  says_of_part([](store::Rows& rows) { rows.top_logprob[2] = -4; }, "top_logprob -1 in place 1 after -4 of token 1");
  says_of_part([](store::Rows& rows) { rows.rejects.pop_back(); }, "no reason for document 9 with status rejected");
  says_of_part([](store::Rows& rows) { rows.rejects[0].document = 10; }, "no reason for document 9");
  says_of_part([](store::Rows& rows) { rows.rejects.push_back(rows.rejects[0]); },
               "a reason for document 9, out of order");
  says_of_part([](store::Rows& rows) { rows.token_rank[0] = -2; }, "rank -2 of token 0");
  says_of_part([](store::Rows& rows) { rows.token_logprob[1] = static_cast<float>(nan); }, "logprob nan of token 1");
  says_of_part([](store::Rows& rows) { rows.rejects[0].document = 400; }, "reason for document 400");
}

BOOST_AUTO_TEST_CASE(other_numbers_in_results) {
  const auto changed = [](bool sharded, const char* dataset, hid_t type, std::size_t at, const auto& value,
                          const std::vector<std::string>& words) {
    const Finished run(sharded);
    write_number(run.path() / "results.h5", dataset, type, at, value);
    if (sharded) tests::seal(run.path() / "results.h5");
    one_fault(run, words);
  };
  changed(false, "/logprob", H5T_NATIVE_DOUBLE, 9, -1.0, {"/logprob", "part-00000001.h5 in row 2"});
  changed(false, "/status", H5T_NATIVE_UINT8, 22, std::uint8_t{3}, {"/status", "part-00000003.h5 in row 1"});
  changed(false, "/token/rank", H5T_NATIVE_INT32, 0, 5, {"/token/rank", "part-00000000.h5 in row 0"});
  changed(false, "/token/offsets", H5T_NATIVE_UINT64, 2, std::uint64_t{0}, {"/token/offsets[2] is 0"});
  changed(true, "/token/offsets", H5T_NATIVE_UINT64, 2, std::uint64_t{0},
          {"/token/offsets[2] is 0, parts/part-00000000.h5 gives 1"});
  changed(true, "/parts/rows", H5T_NATIVE_INT64, 1, std::int64_t{6}, {"/parts"});
}

BOOST_AUTO_TEST_CASE(results_of_another_shape) {
  for (const bool sharded : {false, true}) {
    const Finished run(sharded), longer(sharded, all, 30), other_mode(!sharded), fewer(sharded, {});
    const std::string good = run.bytes("results.h5");
    run.put("results.h5", longer.bytes("results.h5"));
    one_fault(run, {"results.h5 holds 30 documents, the plan 23"});
    run.put("results.h5", other_mode.bytes("results.h5"));
    one_fault(run, {"the plan says otherwise"});
    run.put("results.h5", fewer.bytes("results.h5"));
    BOOST_TEST(run.verify().fault_count == 4);
    for (std::size_t size = 0; size < good.size(); size += 997) {
      run.put("results.h5", good.substr(0, size));
      one_fault(run, {"results.h5"});
    }
    base::real_files().remove(run.path() / "results.h5");
    one_fault(run, {"results.h5", "No such file"});
    run.put("results.h5", good);
    BOOST_TEST(run.verify().fault_count == 0);
  }
}

BOOST_AUTO_TEST_CASE(sums_and_reasons) {
  const Finished run(true);
  const std::string summary = run.bytes("summary.json"), rejects = run.bytes("rejects.jsonl");
  std::string wrong = summary;
  wrong.replace(wrong.find("\"words\": 28"), 11, "\"words\": 29");
  for (const std::string name : {"summary.json", "_SUCCESS"}) {
    run.put(name, wrong);
    one_fault(run, {name, "words is 29, the parts add up to 28"});
    run.put(name, "{}");
    one_fault(run, {name, "documents is absent"});
    run.put(name, "what?");
    one_fault(run, {name, "not a JSON object"});
    run.put(name, summary);
  }
  run.put("rejects.jsonl", rejects.substr(1));
  one_fault(run, {"rejects.jsonl does not tell"});
  run.put("rejects.jsonl", rejects + "{}\n");
  one_fault(run, {"rejects.jsonl has"});
  run.put("rejects.jsonl", rejects.substr(0, rejects.size() - 5));
  one_fault(run, {"rejects.jsonl does not tell what parts/part-00000002.h5 does"});
  base::real_files().remove(run.path() / "rejects.jsonl");
  one_fault(run, {"rejects.jsonl", "No such file"});
}

BOOST_AUTO_TEST_CASE(unfinished_runs_say_how_far_they_are) {
  const Finished run(true);
  base::real_files().remove(run.path() / "_SUCCESS");
  base::real_files().remove(run.path() / "results.h5");
  base::real_files().remove(run.path() / run.part(2));
  run.put("parts/.part-00000002.h5.1-2.0.tmp", "half of i");
  Verification found = run.verify();
  BOOST_TEST(!found.finished);
  BOOST_TEST(found.committed == 3);
  BOOST_TEST(found.shards == 4);
  BOOST_TEST(found.fault_count == 0);
  run.put(run.part(0), "no part");
  found = run.verify();
  BOOST_TEST(found.committed == 2);
  BOOST_TEST(found.fault_count == 1);
}

BOOST_AUTO_TEST_CASE(other_directories) {
  const Folder folder;
  const auto refused = [&](Exit code, const std::vector<std::string>& words) {
    BOOST_CHECK_EXCEPTION(store::verify_run(base::real_files(), folder / "run", 5), base::Error,
                          [&](const base::Error& error) { return says(error, code, words); });
  };
  refused(Exit::no_input, {"not a run directory"});
  { const store::RunDirectory run(base::real_files(), folder / "run"); }
  refused(Exit::again, {"no plan yet"});
  folder.put("run/plan.json", "{");
  refused(Exit::data, {"plan.json is damaged"});
  folder.put("run/plan.json", "{\"format\": \"thresher-plan\", \"version\": 1, \"values\": {}, \"shards\": [0, 7, 7]}");
  refused(Exit::data, {"plan.json", "do not ascend"});
}

// A disk that cannot be read is no fault of the results.
BOOST_AUTO_TEST_CASE(errors_of_the_disk_are_told_as_such) {
  for (const bool sharded : {false, true}) {
    const Finished run(sharded);
    std::int64_t reads = 0;
    for (bool struck = true; struck; ++reads) {
      tests::FaultyFiles files(base::real_files());
      files.inject({.kind = tests::Fault::Kind::error, .error = EIO, .at = reads, .operation = tests::Operation::read});
      BOOST_TEST_CONTEXT("read " << reads)
      try {
        const Verification found = store::verify_run(files, run.path(), 5);
        struck = files.struck();
        BOOST_TEST((!struck && found.finished && found.fault_count == 0));
      } catch (const base::Error& error) {
        BOOST_TEST(says(error, Exit::io, {run.path().string(), "Input/output error"}));
      }
    }
    BOOST_TEST(reads > 10);
  }
}

BOOST_AUTO_TEST_SUITE_END()
