#include <boost/test/unit_test.hpp>

#include "store/fixture.h"
#include "thresher/store/export.h"

using namespace thresher;
using base::Exit;
using store::Columns;
using store::ExportFormat;
using tests::Folder;
using tests::says;

namespace {

base::Path publish(const Folder& folder, const Columns& columns, std::int64_t documents) {
  const store::Plan plan = tests::small_plan(documents, 7);
  tests::SmallCorpus corpus(documents);
  store::RunDirectory run(base::real_files(), folder / "run");
  run.settle(plan);
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    run.commit(shard, store::build_part(tests::small_rows(plan, shard, columns), columns));
  }
  run.publish(plan, columns, corpus);
  return folder / "run/results.h5";
}

std::string text_of(const base::Path& path, ExportFormat format) {
  std::string text;
  store::export_results(path, format, [&](std::string_view piece) { text += piece; });
  return text;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(export_of_results)

BOOST_AUTO_TEST_CASE(json_lines) {
  const Folder folder;
  const std::string text = text_of(publish(folder, {true, true, 2}, 23), ExportFormat::jsonl);
  BOOST_TEST(
      text.find(
          "{\"id\": \"id-2\", \"status\": \"ok\", \"tokens\": 2, \"logprob\": -0.25, \"bytes\": 12, \"words\": 2, "
          "\"is_greedy\": true, "
          "\"token\": {\"id\": [200, 201], \"logprob\": [-0.125, -0.125], \"rank\": [0, 0], \"entropy\": [1.25, 1.25], "
          "\"top_id\": [[0, 1], [0, 1]], \"top_logprob\": [[-0, -1], [-0, -1]]}}\n") != std::string::npos,
      text.substr(0, 1500));
  BOOST_TEST(text.find("\"status\": \"rejected\", \"tokens\": 0, \"logprob\": null") != std::string::npos);
  BOOST_TEST(text.find("\"logprob\": -0.375") != std::string::npos);
  BOOST_TEST(std::count(text.begin(), text.end(), '\n') == 23);
}

BOOST_AUTO_TEST_CASE(comma_separated) {
  const Folder folder;
  const std::string text = text_of(publish(folder, {}, 23), ExportFormat::csv);
  BOOST_TEST(
      text.starts_with("id,status,tokens,logprob,bytes,words\r\nid-0,empty,0,,10,2\r\nid-1,ok,1,-0.125,11,2\r\n"),
      text.substr(0, 200));
  BOOST_TEST(text.find("\r\nid-4,rejected,0,,14,2\r\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(no_documents) {
  const Folder folder;
  BOOST_TEST(text_of(publish(folder, {true, true, 2}, 0), ExportFormat::jsonl) == "");
}

BOOST_AUTO_TEST_CASE(extremes_by_mean_of_long_enough_documents) {
  const Folder folder;
  const store::Extremes extremes = store::find_extremes(publish(folder, {}, 23), 2, 2);
  // Documents 2, 3, 6, 7, 10, 11, 15, 18, 22 have 2 or 3 tokens and a score; the mean is -d / 8 / tokens.
  BOOST_REQUIRE(extremes.most.size() == 2u);
  BOOST_REQUIRE(extremes.least.size() == 2u);
  BOOST_TEST(extremes.most[0].id == "id-2");
  BOOST_TEST(extremes.most[1].document == 3);
  BOOST_TEST(extremes.least[0].id == "id-22");
  BOOST_TEST(extremes.least[0].mean_logprob == -1.375, boost::test_tools::tolerance(1e-12));
  BOOST_TEST(extremes.least[1].id == "id-18");
}

BOOST_AUTO_TEST_CASE(description) {
  const Folder folder;
  const base::Path results = publish(folder, {true, true, 2}, 23);
  const std::string text = store::describe_hdf5(results);
  for (const char* words :
       {"thresher-results, version 1", "/token/top_logprob", "float32", " x 2", "4 rejected", "\"dtype\":\"f32\""}) {
    BOOST_TEST(text.find(words) != std::string::npos, text);
  }
  const std::string part = store::describe_hdf5(folder / "run/parts/part-00000003.h5");
  BOOST_TEST(part.find("shard 3: documents 21 to 23") != std::string::npos, part);
}

BOOST_AUTO_TEST_CASE(other_files_are_refused) {
  const Folder folder;
  const auto refuse = [](const base::Path& path, Exit code, const std::vector<std::string>& words) {
    BOOST_CHECK_EXCEPTION(text_of(path, ExportFormat::csv), base::Error,
                          [&](const base::Error& error) { return says(error, code, words); });
  };
  refuse(folder / "none.h5", Exit::no_input, {"none.h5", "No such file"});
  refuse(folder.put("text", "no hdf5"), Exit::data, {"text", "not a complete HDF5 file"});
  const base::Path results = publish(folder, {}, 23);
  const std::string bytes = base::read_all(base::real_files(), results, 1 << 20);
  for (std::size_t size = 0; size < bytes.size(); size += 256)
    refuse(folder.put("cut.h5", bytes.substr(0, size)), Exit::data, {"cut.h5"});
}

BOOST_AUTO_TEST_SUITE_END()
