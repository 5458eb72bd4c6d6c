#include <hdf5.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <limits>

#include "store/fixture.h"
#include "thresher/store/export.h"

using namespace thresher;
using base::Exit;
using store::Columns;
using store::ExportFormat;
using store::Plan;
using tests::Folder;
using tests::says;

namespace {

constexpr std::int64_t documents = 23;
const Columns all{true, true, 2};

// Two runs of the same rows, in gathered/ and sharded/.
struct Runs {
  explicit Runs(const Columns& columns = all, std::int64_t count = documents) {
    const Plan plan = tests::small_plan(count, 7);
    tests::small_run(base::real_files(), folder / "gathered", plan, columns);
    tests::small_run(base::real_files(), folder / "sharded", tests::sharded(plan), columns);
  }
  base::Path gathered() const { return folder / "gathered/results.h5"; }
  base::Path sharded() const { return folder / "sharded/results.h5"; }
  base::Path part(int shard) const { return folder / ("sharded/parts/part-0000000" + std::to_string(shard) + ".h5"); }
  Folder folder;
};

std::string text_of(const base::Path& path, ExportFormat format) {
  std::string text;
  store::export_results(path, format, [&](std::string_view piece) { text += piece; });
  return text;
}

void overwrite(const base::Path& path, const std::string& bytes) {
  base::real_files().remove(path);
  base::real_files().create(path)->write_at(0, std::as_bytes(std::span(bytes)));
}

std::string bytes_of(const base::Path& path) {
  return base::read_all(base::real_files(), path, 1 << 24);
}

// Every reader says no, before any output.
void refused(const base::Path& results, const std::vector<std::string>& words) {
  const auto no = [&](const base::Error& error) { return says(error, Exit::data, words); };
  for (const ExportFormat format : {ExportFormat::csv, ExportFormat::jsonl}) {
    bool printed = false;
    BOOST_CHECK_EXCEPTION(store::export_results(results, format, [&](std::string_view) { printed = true; }),
                          base::Error, no);
    BOOST_TEST(!printed);
  }
  BOOST_CHECK_EXCEPTION(store::find_extremes(results, 2, 1), base::Error, no);
  BOOST_CHECK_EXCEPTION(store::describe_hdf5(results), base::Error, no);
}

// Results with /logprob made anew.
class Forgery {
 public:
  explicit Forgery(const base::Path& results) : file_(H5Fopen(results.c_str(), H5F_ACC_RDWR, H5P_DEFAULT)) {
    BOOST_REQUIRE(file_ >= 0);
    BOOST_REQUIRE(H5Ldelete(file_, "/logprob", H5P_DEFAULT) >= 0);
  }
  ~Forgery() { H5Fclose(file_); }
  Forgery(const Forgery&) = delete;

  hid_t file() const { return file_; }
  // Shards of 7 rows; `name` gives the file of each.
  void logprob(const auto& name, const std::string& dataset = "/logprob", hsize_t shift = 0) {
    const hsize_t rows = documents;
    const hid_t space = H5Screate_simple(1, &rows, nullptr), properties = H5Pcreate(H5P_DATASET_CREATE);
    for (hsize_t first = 0; first < rows; first += 7) {
      const hsize_t count = std::min<hsize_t>(7, rows - first), from = first - (first > 0 ? shift : 0);
      const hid_t source = H5Screate_simple(1, &count, nullptr);
      const hsize_t origin = 0;
      H5Sselect_hyperslab(source, H5S_SELECT_SET, &origin, nullptr, &count, nullptr);
      H5Sselect_hyperslab(space, H5S_SELECT_SET, &from, nullptr, &count, nullptr);
      BOOST_REQUIRE(H5Pset_virtual(properties, space, name(first / 7).c_str(), dataset.c_str(), source) >= 0);
      H5Sclose(source);
    }
    H5Sselect_all(space);
    create(space, properties);
  }
  void create(hid_t space, hid_t properties) {
    const hid_t made = H5Dcreate2(file_, "/logprob", H5T_IEEE_F64LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    BOOST_REQUIRE(made >= 0);
    H5Dclose(made);
    H5Sclose(space);
    H5Pclose(properties);
  }

 private:
  hid_t file_;
};

std::string rightly(hsize_t shard) {
  return "parts/part-0000000" + std::to_string(shard) + ".h5";
}

// Readers of results whose /logprob `change` makes anew: they refuse with these words, or, without any, read the same.
void forged(const auto& change, const std::vector<std::string>& words) {
  const Runs runs;
  const std::string before = text_of(runs.sharded(), ExportFormat::csv);
  {
    Forgery forgery(runs.sharded());
    change(forgery, runs);
  }
  tests::seal(runs.sharded());
  if (words.empty())
    BOOST_TEST(text_of(runs.sharded(), ExportFormat::csv) == before);
  else
    refused(runs.sharded(), words);
}

const std::vector<std::string> disagrees{"/logprob", "does not agree with the table"};

}  // namespace

BOOST_AUTO_TEST_SUITE(sharded_results)

BOOST_AUTO_TEST_CASE(export_and_extremes_are_those_of_gathered_results) {
  for (const Columns& columns : {Columns{}, Columns{true, false, 0}, all}) {
    for (const std::int64_t count : {0, 1, 14, 23}) {
      const Runs runs(columns, count);
      for (const ExportFormat format : {ExportFormat::csv, ExportFormat::jsonl})
        BOOST_TEST(text_of(runs.sharded(), format) == text_of(runs.gathered(), format));
      const store::Extremes a = store::find_extremes(runs.gathered(), 5, 1),
                            b = store::find_extremes(runs.sharded(), 5, 1);
      BOOST_REQUIRE(a.most.size() == b.most.size());
      for (std::size_t i = 0; i < a.most.size(); ++i) {
        BOOST_TEST(a.most[i].id == b.most[i].id);
        BOOST_TEST(a.least[i].mean_logprob == b.least[i].mean_logprob);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(description_names_the_parts) {
  const Runs runs;
  const std::string text = store::describe_hdf5(runs.sharded());
  for (const char* words : {"/logprob", "float64    23, in 4 parts", "4 rejected", "/parts/digest", " x 2, in 4 parts"})
    BOOST_TEST(text.find(words) != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(parts_missing_or_damaged) {
  const Runs runs;
  const std::string good = bytes_of(runs.part(2));
  for (std::size_t at = 0; at < good.size(); at += good.size() / 7) {
    std::string flipped = good;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x20);
    overwrite(runs.part(2), flipped);
    refused(runs.sharded(), {"part-00000002.h5", "same score command again"});
    overwrite(runs.part(2), good.substr(0, at));
    refused(runs.sharded(), {"part-00000002.h5", "same score command again"});
  }
  overwrite(runs.part(2), good + "more");
  refused(runs.sharded(), {"part-00000002.h5"});
  overwrite(runs.part(2), bytes_of(runs.part(1)));
  refused(runs.sharded(), {"part-00000002.h5 holds shard 1"});
  // A part that is whole, of the right place, but not the one.
  store::Rows rows = tests::small_rows(tests::small_plan(documents, 7), 2, all);
  rows.words[1] = 1000;
  overwrite(runs.part(2), store::build_part(rows, all));
  refused(runs.sharded(), {"part-00000002.h5", "expected shard 2"});
  base::real_files().remove(runs.part(2));
  refused(runs.sharded(), {"part-00000002.h5 is missing", "same score command again"});
  base::real_files().remove(runs.part(0));
  refused(runs.sharded(), {"part-00000000.h5 is missing", "2 of 4 parts"});
}

BOOST_AUTO_TEST_CASE(links_are_not_followed) {
  const Runs runs;
  const base::Path outside = runs.folder / "outside.h5", parts = runs.folder / "sharded/parts";
  std::filesystem::copy(runs.part(2), outside);
  base::real_files().remove(runs.part(2));
  std::filesystem::create_symlink(outside, runs.part(2));
  refused(runs.sharded(), {"part-00000002.h5", "symbolic link"});
  std::filesystem::rename(parts, runs.folder / "elsewhere");
  refused(runs.sharded(), {"parts is not a directory"});
  std::filesystem::create_directory_symlink(runs.folder / "elsewhere", parts);
  refused(runs.sharded(), {"parts is not a directory"});
}

BOOST_AUTO_TEST_CASE(only_this_mapping_is_accepted) {
  forged([](Forgery& made, const Runs&) { made.logprob(rightly); }, {});
  forged([](Forgery& made, const Runs&) { made.logprob(rightly, "/bytes"); }, disagrees);
  forged([](Forgery& made, const Runs&) { made.logprob(rightly, "/logprob", 1); }, disagrees);
  forged([](Forgery& made, const Runs&) { made.logprob([](hsize_t) { return rightly(0); }); }, disagrees);
  forged([](Forgery& made, const Runs&) { made.logprob([](hsize_t i) { return "./" + rightly(i); }); }, disagrees);
  forged([](Forgery& made, const Runs&) { made.logprob([](hsize_t i) { return rightly(i).substr(6); }); }, disagrees);
  forged([](Forgery& made, const Runs&) { made.logprob([](hsize_t i) { return "../gathered/" + rightly(i); }); },
         disagrees);
  forged([](Forgery& made,
            const Runs& runs) { made.logprob([&](hsize_t i) { return runs.part(static_cast<int>(i)).string(); }); },
         disagrees);
  forged([](Forgery& made, const Runs&) { made.logprob([](hsize_t) { return std::string("."); }); }, disagrees);
}

BOOST_AUTO_TEST_CASE(other_ways_to_other_files_are_refused) {
  forged(
      [](Forgery& made, const Runs&) {  // "all files of this pattern", as many as there are
        const hsize_t none = 0, rows = 7, unlimited = H5S_UNLIMITED, one = 1;
        const hid_t space = H5Screate_simple(1, &none, &unlimited), source = H5Screate_simple(1, &rows, nullptr);
        const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, &none, &rows, &unlimited, &rows);
        BOOST_REQUIRE(H5Pset_virtual(properties, space, "parts/part-0000000%b.h5", "/logprob", source) >= 0);
        H5Sselect_hyperslab(space, H5S_SELECT_SET, &none, nullptr, &one, nullptr);
        H5Sclose(source);
        made.create(space, properties);
      },
      {"/logprob"});
  forged(
      [](Forgery& made, const Runs&) {
        H5Lcreate_external("../gathered/results.h5", "/logprob", made.file(), "/logprob", H5P_DEFAULT, H5P_DEFAULT);
      },
      {"/logprob", "external link"});
  forged(
      [](Forgery& made, const Runs&) { H5Lcreate_soft("/bytes", made.file(), "/logprob", H5P_DEFAULT, H5P_DEFAULT); },
      {"/logprob", "soft link"});
  forged(
      [](Forgery& made, const Runs& runs) {
        const hsize_t rows = documents;
        const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_external(properties, runs.part(0).c_str(), 0, 8 * documents);
        made.create(H5Screate_simple(1, &rows, nullptr), properties);
      },
      {"/logprob", "external storage"});
  forged(
      [](Forgery& made, const Runs&) {  // numbers of its own
        const hsize_t rows = documents;
        const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
        made.create(H5Screate_simple(1, &rows, nullptr), properties);
      },
      disagrees);
}

BOOST_AUTO_TEST_CASE(virtual_datasets_without_a_table_are_refused) {
  const Runs runs;
  const hid_t file = H5Fopen(runs.sharded().c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  BOOST_REQUIRE(H5Adelete(file, "parts_version") >= 0);
  H5Fclose(file);
  refused(runs.sharded(), {"virtual dataset over other files, which is refused"});
}

BOOST_AUTO_TEST_CASE(newer_tables_are_refused) {
  const Runs runs;
  const hid_t file = H5Fopen(runs.sharded().c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t attribute = H5Aopen(file, "parts_version", H5P_DEFAULT);
  const std::int64_t version = 2;
  BOOST_REQUIRE(H5Awrite(attribute, H5T_NATIVE_INT64, &version) >= 0);
  H5Aclose(attribute);
  H5Fclose(file);
  tests::seal(runs.sharded());
  refused(runs.sharded(), {"version 2, this program reads 1 to 1"});
}

BOOST_AUTO_TEST_CASE(a_table_that_cannot_be_is_refused) {
  const auto changed = [](const std::string& column, std::int64_t row, std::int64_t value,
                          const std::vector<std::string>& words) {
    const Runs runs;
    const hid_t file = H5Fopen(runs.sharded().c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t dataset = H5Dopen2(file, ("/parts/" + column).c_str(), H5P_DEFAULT);
    std::vector<std::int64_t> values(4);
    BOOST_REQUIRE(H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
    values[static_cast<std::size_t>(row)] = value;
    BOOST_REQUIRE(H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
    H5Dclose(dataset);
    H5Fclose(file);
    tests::seal(runs.sharded());
    refused(runs.sharded(), words);
  };
  changed("rows", 1, 8, {"row 2 of /parts", "expected part-00000002.h5, documents from 15"});
  changed("rows", 1, -1, {"row 1 of /parts"});
  changed("rows", 3, 9, {"elements, expected 30"});
  changed("rows", 3, std::numeric_limits<std::int64_t>::max(), {"row 3 of /parts"});
  changed("first", 0, 1, {"row 0 of /parts"});
  changed("tokens", 0, 1, {"/token/id", "elements, expected"});
}

BOOST_AUTO_TEST_CASE(every_byte_of_the_table_counts) {
  const Runs runs;
  const std::string good = bytes_of(runs.sharded());
  for (std::size_t at = 0; at < good.size(); at += 61) {
    std::string flipped = good;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x11);
    overwrite(runs.sharded(), flipped);
    refused(runs.sharded(), {"results.h5", "digest"});
  }
}

BOOST_AUTO_TEST_CASE(results_that_were_cut_are_refused) {
  const Runs runs;
  const std::string good = bytes_of(runs.sharded());
  for (std::size_t size = 0; size < good.size(); size += 61) {
    overwrite(runs.sharded(), good.substr(0, size));
    refused(runs.sharded(), {"results.h5"});
  }
}

BOOST_AUTO_TEST_SUITE_END()
