#include <boost/test/unit_test.hpp>

#include "store/fixture.h"
#include "store/python.h"
#include "thresher/store/import.h"

using namespace thresher;
using tests::Folder;
using tests::have_h5py;
using tests::python;

BOOST_AUTO_TEST_SUITE(h5py)

BOOST_AUTO_TEST_CASE(corpora_that_users_write) {
  if (!have_h5py()) return;
  const Folder folder;
  BOOST_REQUIRE(python("write", folder.path()));
  const std::vector<std::string> texts{"one", "zwei \xc3\xbc", "", "tr\xc3\xa8s long"};
  const std::vector<std::pair<std::string, std::vector<std::string>>> files{
      {"three_lines.h5", {"a", "b", "\xc3\xa7", "d"}},
      {"without_ids.h5", {"0", "1", "2", "3"}},
      {"compressed.h5", {"7", "8", "9", "10"}}};
  for (const auto& [name, ids] : files) {
    const auto corpus = store::open_corpus(folder / name);
    const store::Documents documents = corpus->read(0, 4);
    for (std::int64_t i = 0; i < 4; ++i) BOOST_TEST(documents.text_of(i) == texts[static_cast<std::size_t>(i)]);
    BOOST_TEST((documents.status[2] == store::Intake::empty));
    BOOST_TEST(corpus->ids(0, 4) == ids);
    BOOST_TEST(corpus->ids(2, 1)[0] == ids[2]);
  }
  const auto tokens = store::open_corpus(folder / "tokens.h5");
  BOOST_TEST(tokens->read(1, 2).tokens == (std::vector<std::uint32_t>{7, 8, 70000}));
  BOOST_TEST(tokens->ids(1, 2) == (std::vector<std::string>{"yy", "zzz"}));
}

BOOST_AUTO_TEST_CASE(files_that_we_write) {
  if (!have_h5py()) return;
  const Folder folder;
  const std::vector<base::Path> inputs{folder.put(
      "in.jsonl", "{\"text\": \"first\"}\n{\"id\": \"id-2\", \"text\": 3}\n{\"text\": \"dritt\xc3\xa9\"}\n")};
  store::import_files(inputs, folder / "corpus.h5", folder / "rejects.jsonl", {});

  const store::Columns columns{true, true, 2};
  const store::Plan plan = tests::small_plan(23, 7);
  tests::SmallCorpus corpus(23);
  store::RunDirectory run(base::real_files(), folder / "run");
  run.settle(plan);
  for (std::int64_t shard = 0; shard < plan.shard_count(); ++shard) {
    run.commit(shard, store::build_part(tests::small_rows(plan, shard, columns), columns));
  }
  run.publish(plan, columns, corpus);
  base::real_files().rename(folder / "run/results.h5", folder / "results.h5");
  BOOST_TEST(python("read", folder.path()));
}

BOOST_AUTO_TEST_CASE(sharded_results_read_like_gathered_ones) {
  if (!have_h5py()) return;
  for (const store::Columns& columns : {store::Columns{}, store::Columns{true, false, 0},
                                        store::Columns{false, true, 0}, store::Columns{true, true, 2}}) {
    for (const std::int64_t documents : {0, 1, 23}) {
      const Folder folder;
      const store::Plan plan = tests::small_plan(documents, 7);
      tests::small_run(base::real_files(), folder / "gathered", plan, columns);
      tests::small_run(base::real_files(), folder / "sharded", tests::sharded(plan), columns);
      BOOST_TEST(python("same", folder.path()));
      if (columns.top_k == 0 || documents < 23) continue;
      base::real_files().remove(folder / "sharded/parts/part-00000001.h5");
      BOOST_TEST(python("holes", folder.path()));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
