#include <boost/test/unit_test.hpp>
#include <cstdlib>

#include "store/fixture.h"
#include "thresher/store/import.h"

using namespace thresher;
using tests::Folder;

namespace {

// The first Python that has h5py; Debian's own may hide behind another one.
const std::string& python_with_h5py() {
  static const std::string found = [] {
    for (const std::string name : {"python3", "/usr/bin/python3"}) {
      if (std::system((name + " -c 'import h5py' 2>/dev/null").c_str()) == 0) return name;
    }
    BOOST_TEST_MESSAGE("not run: python3-h5py is not installed");
    return std::string();
  }();
  return found;
}

bool have_h5py() {
  return !python_with_h5py().empty();
}
bool python(const std::string& arguments) {
  return std::system((python_with_h5py() + " " + arguments).c_str()) == 0;
}

const std::string script = std::string(THRESHER_SOURCE_DIR) + "/tests/store/read_with_h5py.py ";

}  // namespace

BOOST_AUTO_TEST_SUITE(h5py)

BOOST_AUTO_TEST_CASE(corpora_that_users_write) {
  if (!have_h5py()) return;
  const Folder folder;
  BOOST_REQUIRE(python(script + "write " + folder.path().string()));
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
  BOOST_TEST(python(script + "read " + folder.path().string()));
}

BOOST_AUTO_TEST_SUITE_END()
