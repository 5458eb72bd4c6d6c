// The simulated disk against a naive one, and what it may do when the power goes.
#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include "base/ram_files.h"
#include "base/random.h"
#include "base/simulated_disk.h"
#include "thresher/base/check.h"

using namespace thresher;
using tests::RamFiles;
using tests::Random;
using tests::SimulatedDisk;
using tests::Survival;

namespace {

std::string text_of(Random& random, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>('a' + random.below(26));
  return text;
}

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// One change in a directory, the same on every disk; says what came of it.
std::string change_something(base::FileSystem& files, Random random, const base::Path& directory = "/run") {
  const auto name = [&] { return directory / std::string(1, static_cast<char>('a' + random.below(6))); };
  try {
    switch (random.below(8)) {
      case 0:
      case 1: {
        const auto file = files.create(name());
        for (std::int64_t i = random.below(3); i > 0; --i)
          file->write_at(random.below(9000), bytes_of(text_of(random, 1000)));
        if (random.once_in(2)) file->sync();
        if (random.once_in(4)) file->resize(random.below(5000));
        return "created";
      }
      case 2:
        base::write_atomically(files, name(), text_of(random, 700));
        return "written";
      case 3: {
        const base::Path from = name();
        return files.link(from, name()) ? "linked" : "there";
      }
      case 4: {
        const base::Path from = name();
        files.rename(from, name());
        return "renamed";
      }
      case 5:
        files.remove(name());
        return "removed";
      case 6:
        files.append(name())->append(text_of(random, 30));
        return "appended";
      default:
        files.sync_directory(directory);
        return "synced";
    }
  } catch (const base::Error& error) {
    return std::string("error ") + std::to_string(static_cast<int>(error.code()));
  }
}

std::map<std::string, std::string> contents(RamFiles& disk) {
  std::map<std::string, std::string> found;
  for (const std::string& name : disk.names()) found[name] = disk.content(name);
  return found;
}

std::map<std::string, std::string> contents(const SimulatedDisk& disk) {
  std::map<std::string, std::string> found;
  for (const std::string& name : disk.names())
    if (name != "/" && name != "/run") found[name] = disk.content(name);
  return found;
}

// A file of three sectors of 4 KiB, synced as zeros or not at all, then written with letters.
struct Torn {
  explicit Torn(bool synced_before) {
    disk.make_directories("/run");
    const auto file = disk.create("/run/a");
    if (synced_before) {
      file->write_at(0, bytes_of(std::string(12288, '0')));
      file->sync();
      disk.sync_directory("/run");
      disk.sync_directory("/");
    }
    file->write_at(0, bytes_of(std::string(8192, 'x')));
    file->write_at(4096, bytes_of(std::string(8192, 'y')));
  }
  SimulatedDisk disk;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(simulated_disk)

BOOST_AUTO_TEST_CASE(behaves_as_a_naive_disk) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SimulatedDisk disk;
    RamFiles naive;
    disk.make_directories("/run");
    naive.make_directories("/run");
    disk.sync_directory("/");
    Random random(seed);
    for (int i = 0; i < 40; ++i) {
      const Random change(random.next());
      const std::string done = change_something(naive, change);
      BOOST_REQUIRE_MESSAGE(change_something(disk, change) == done,
                            "seed " << seed << ", change " << i << ": " << done);
    }
    BOOST_REQUIRE_MESSAGE(contents(disk) == contents(naive), "seed " << seed);
    disk.lose_power(random, Survival::nothing, Survival::nothing);
    naive.lose_power();
    BOOST_REQUIRE_MESSAGE(contents(disk) == contents(naive), "seed " << seed << ", after the power was gone");
  }
}

BOOST_AUTO_TEST_CASE(behaves_as_a_real_disk) {
  std::string name = (std::filesystem::temp_directory_path() / "thresher-XXXXXX").string();
  BOOST_REQUIRE(::mkdtemp(name.data()) != nullptr);
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const base::Path folder = base::Path(name) / std::to_string(seed);
    SimulatedDisk disk;
    disk.make_directories(folder);
    base::real_files().make_directories(folder);
    Random random(seed);
    for (int i = 0; i < 40; ++i) {
      const Random change(random.next());
      const std::string done = change_something(base::real_files(), change, folder);
      BOOST_REQUIRE_MESSAGE(change_something(disk, change, folder) == done,
                            "seed " << seed << ", change " << i << ": " << done);
    }
    BOOST_TEST(disk.list(folder) == base::real_files().list(folder), boost::test_tools::per_element());
    for (const std::string& file : disk.list(folder))
      BOOST_REQUIRE_MESSAGE(disk.content(folder / file) == base::read_all(base::real_files(), folder / file, 1 << 20),
                            "seed " << seed << ", file " << file);
  }
  base::real_files().remove_tree(name);
}

// Files and names that were synced last stay, whatever the dice say; a name that is there stands for a file that was
// there under some name.
BOOST_AUTO_TEST_CASE(what_was_synced_stays) {
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    SimulatedDisk disk;
    disk.make_directories("/run");
    disk.sync_directory("/");
    Random random(seed);
    for (int i = 0; i < 30; ++i) change_something(disk, Random(random.next()));
    for (const char* name : {"/run/p", "/run/q"}) base::write_atomically(disk, name, text_of(random, 20000));
    const std::string p = disk.content("/run/p");
    for (int i = 0; i < 30; ++i) change_something(disk, Random(random.next()));
    disk.lose_power(random);
    BOOST_REQUIRE_MESSAGE(disk.content("/run/p") == p, "seed " << seed);
    const auto after = contents(disk);
    disk.lose_power(random);
    BOOST_REQUIRE_MESSAGE(contents(disk) == after, "seed " << seed << ": what is there after a loss is durable");
  }
}

BOOST_AUTO_TEST_CASE(unsynced_data_is_dropped_torn_and_reordered) {
  std::set<std::string> sectors;
  bool torn_small = false;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Torn torn(true);
    Random random(seed);
    torn.disk.lose_power(random, Survival::any, Survival::any);
    const std::string& content = torn.disk.content("/run/a");
    BOOST_REQUIRE(content.size() == 12288u);
    std::string state;
    for (std::size_t at = 0; at < content.size(); at += 4096) {
      const bool whole = content.find_first_not_of(content[at], at) >= at + 4096;
      torn_small |= !whole;
      state += whole ? content[at] : '?';
    }
    // The first sector was written once, the second twice, the third by the second write alone.
    BOOST_REQUIRE(content.substr(0, 4096).find('y') == std::string::npos);
    BOOST_REQUIRE(content.substr(8192).find('x') == std::string::npos);
    sectors.insert(state);
  }
  BOOST_TEST(torn_small);
  // Nothing and all of it, and the second write without the first.
  for (const char* state : {"000", "xyy", "0yy", "xx0", "0x0", "x00", "00y"})
    BOOST_TEST(sectors.contains(state), state);
}

BOOST_AUTO_TEST_CASE(unsynced_names_come_and_go_in_any_subset) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    SimulatedDisk disk;
    disk.make_directories("/run");
    disk.sync_directory("/");
    disk.create("/run/old")->sync();
    disk.sync_directory("/run");
    disk.create("/run/tmp")->sync();
    disk.link("/run/tmp", "/run/new");
    disk.remove("/run/tmp");
    disk.rename("/run/old", "/run/other");
    Random random(seed);
    disk.lose_power(random, Survival::any, Survival::any);
    std::string names;
    for (const std::string& name : disk.list("/run")) names += name + " ";
    BOOST_REQUIRE(names.find("old") == std::string::npos || names.find("other") == std::string::npos);
    BOOST_REQUIRE(names.find("old") != std::string::npos || names.find("other") != std::string::npos);
    seen.insert(names);
  }
  for (const char* names : {"old ", "new old ", "new other ", "other ", "new old tmp ", "old tmp "})
    BOOST_TEST(seen.contains(names), names);
}

BOOST_AUTO_TEST_CASE(a_directory_that_was_not_synced_takes_what_is_in_it) {
  int gone = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    SimulatedDisk disk;
    disk.make_directories("/a/b");
    base::write_atomically(disk, "/a/b/file", "text");
    disk.sync_directory("/a");
    Random random(seed);
    disk.lose_power(random, Survival::any, Survival::any);
    const bool there = disk.entry("/a") == base::Entry::directory;
    BOOST_TEST(disk.content("/a/b/file") == (there ? "text" : "(no such file)"));
    gone += !there;
  }
  BOOST_TEST((gone > 20 && gone < 80));
}

BOOST_AUTO_TEST_CASE(without_hard_links_a_link_is_a_rename) {
  SimulatedDisk disk(false);
  disk.create("/a");
  BOOST_TEST(disk.link("/a", "/b"));
  disk.create("/a");
  BOOST_TEST(!disk.link("/a", "/b"));
  BOOST_TEST(disk.list("/") == (std::vector<std::string>{"a", "b"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(locks_and_space) {
  SimulatedDisk disk;
  {
    const auto lock = disk.lock("/lock");
    BOOST_TEST(lock.get());
    BOOST_TEST(!disk.lock("/lock").get());
  }
  BOOST_TEST(disk.lock("/lock").get());
  disk.limit(100, true);
  const auto file = disk.create("/a");
  file->write_at(0, bytes_of(std::string(60, 'x')));
  BOOST_TEST(disk.free_bytes("/a") == 40);
  BOOST_CHECK_THROW(file->write_at(50, bytes_of(std::string(51, 'x'))), base::Error);
  disk.limit(100, false);
  BOOST_TEST(disk.free_bytes("/a") > 1000);
}

BOOST_AUTO_TEST_SUITE_END()
