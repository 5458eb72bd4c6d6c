#include <boost/test/unit_test.hpp>
#include <cerrno>

#include "base/faulty_files.h"
#include "base/simulated_disk.h"
#include "thresher/base/check.h"

using namespace thresher;
using base::Exit;
using tests::Crash;
using tests::Fault;
using tests::FaultyFiles;
using tests::Operation;
using tests::SimulatedDisk;

namespace {

const base::Path path = "/run/a";

// A file with some text, as programs write it: five calls that change the disk.
void write(base::FileSystem& files, const base::Path& to = path, std::string_view text = "0123456789") {
  base::write_atomically(files, to, text);
}

struct Disk {
  Disk() { disk.make_directories("/run"); }
  SimulatedDisk disk;
  FaultyFiles files{disk, "rank-0"};
};

// Nothing, or the code of the error and its text.
std::string outcome(Disk& disk) {
  try {
    write(disk.files);
  } catch (const base::Error& error) {
    return std::to_string(static_cast<int>(error.code())) + " " + error.what();
  }
  return "";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(faulty_files)

BOOST_AUTO_TEST_CASE(every_change_can_fail_with_its_own_error) {
  Disk counting;
  write(counting.files);
  BOOST_TEST(counting.files.changes() == 5);
  const std::pair<int, int> codes[] = {{ENOSPC, 74}, {EIO, 74}, {EDQUOT, 74}, {EROFS, 77}, {EMFILE, 71}};
  for (const auto& [error, code] : codes)
    for (std::int64_t k = 0; k < 5; ++k) {
      Disk disk;
      disk.files.inject({.kind = Fault::Kind::error, .error = error, .at = k});
      const std::string said = outcome(disk);
      BOOST_TEST(said.starts_with(std::to_string(code) + " cannot "));
      BOOST_TEST(said.find(std::strerror(error)) != std::string::npos);
      BOOST_TEST(disk.files.struck());
      BOOST_TEST(disk.disk.content(path) == (k < 4 ? "(no such file)" : "0123456789"));
      BOOST_TEST(disk.disk.names().size() == (k < 4 ? 2u : 3u));  // no temporary file is left
      BOOST_TEST(outcome(disk).empty());                          // it struck once
    }
}

BOOST_AUTO_TEST_CASE(calls_of_one_kind_fail_from_then_on) {
  Disk disk;
  disk.files.inject(
      {.kind = Fault::Kind::error, .error = EIO, .at = 1, .operation = Operation::sync, .from_then_on = true});
  BOOST_TEST(outcome(disk).empty());
  for (int i = 0; i < 3; ++i) BOOST_TEST(outcome(disk).starts_with("74 cannot sync /run/.a.rank-0."));
  disk.files.heal();
  BOOST_TEST(outcome(disk).empty());
  BOOST_TEST(disk.files.calls(Operation::sync) == 5);
}

BOOST_AUTO_TEST_CASE(a_short_write_leaves_what_it_wrote) {
  Disk disk;
  disk.files.inject({.kind = Fault::Kind::short_write, .error = ENOSPC, .operation = Operation::write, .share = 0.3});
  BOOST_CHECK_THROW(disk.files.create(path)->write_at(0, std::as_bytes(std::span("0123456789", 10))), base::Error);
  BOOST_TEST(disk.disk.content(path) == "012");
}

BOOST_AUTO_TEST_CASE(a_late_error_comes_after_the_fact) {
  Disk disk;
  disk.files.inject({.kind = Fault::Kind::late_error, .error = EIO, .operation = Operation::rename});
  BOOST_TEST(outcome(disk).starts_with("74 cannot rename /run/a"));
  BOOST_TEST(disk.disk.content(path) == "0123456789");
}

BOOST_AUTO_TEST_CASE(a_process_can_die_at_every_call) {
  for (std::int64_t k = 0; k < 5; ++k) {
    Disk disk;
    disk.files.inject({.kind = Fault::Kind::crash, .at = k});
    BOOST_CHECK_THROW(write(disk.files), Crash);
    BOOST_TEST(disk.files.dead());
    const std::vector<std::string> left = disk.disk.names();
    BOOST_CHECK_THROW(write(disk.files), Crash);
    BOOST_TEST(disk.disk.names() == left, boost::test_tools::per_element());
    BOOST_TEST(disk.disk.content(path) == (k < 4 ? "(no such file)" : "0123456789"));
    if (k == 1) BOOST_TEST(disk.disk.content("/run/.a.rank-0.0.tmp") == "01234");
  }
}

BOOST_AUTO_TEST_CASE(a_process_that_dies_while_it_cleans_up_does_so_at_its_next_call) {
  Disk disk;
  disk.files.inject({.kind = Fault::Kind::error, .error = EIO, .operation = Operation::sync});
  disk.files.inject({.kind = Fault::Kind::crash, .operation = Operation::remove});
  BOOST_CHECK_THROW(write(disk.files), base::Error);
  BOOST_TEST(disk.files.dead());
  BOOST_TEST(disk.disk.names().size() == 3u);
  BOOST_CHECK_THROW(write(disk.files), Crash);
}

BOOST_AUTO_TEST_CASE(reads_fail_too) {
  Disk disk;
  write(disk.files);
  disk.files.inject({.kind = Fault::Kind::error, .error = EIO, .operation = Operation::read});
  BOOST_CHECK_THROW(base::read_all(disk.files, path, 100), base::Error);
  BOOST_TEST(base::read_all(disk.files, path, 100) == "0123456789");
}

BOOST_AUTO_TEST_SUITE_END()
