#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/test/unit_test.hpp>
#include <functional>

#include "thresher/base/check.h"
#include "thresher/base/file.h"

using namespace thresher;
using base::Entry;
using base::Exit;
using base::Links;
using base::Path;
using base::real_files;

namespace {

struct Folder {
  Folder() {
    std::string name = (std::filesystem::temp_directory_path() / "thresher-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) base::fail_errno(Exit::cannot_create, name, errno);
    path = name;
  }
  ~Folder() { real_files().remove_tree(path); }
  Path operator/(const std::string& name) const { return path / name; }
  Path path;
};

void put(const Path& path, std::string_view text) {
  const auto file = real_files().create(path);
  file->write_at(0, std::as_bytes(std::span(text)));
}

std::string get(const Path& path) {
  return base::read_all(real_files(), path, 1 << 20);
}

void fails(Exit code, const std::string& words, const std::function<void()>& call) {
  BOOST_CHECK_EXCEPTION(call(), base::Error, [&](const base::Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    return error.code() == code && std::string(error.what()).find(words) != std::string::npos;
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(file)

BOOST_AUTO_TEST_CASE(bytes_come_back_from_where_they_were_put) {
  const Folder folder;
  {
    const auto file = real_files().create(folder / "a");
    const std::string_view hello = "hello", world = "world";
    file->write_at(6, std::as_bytes(std::span(world)));
    file->write_at(0, std::as_bytes(std::span(hello)));
    file->sync();
  }
  BOOST_TEST(get(folder / "a") == std::string_view("hello\0world", 11));
  {
    const auto file = real_files().create(folder / "b");
    file->resize(3);
  }
  BOOST_TEST(get(folder / "b") == std::string_view("\0\0\0", 3));
  std::array<std::byte, 4> bytes{};
  real_files().open(folder / "a")->read_at(7, bytes);
  BOOST_TEST((static_cast<char>(bytes[0]) == 'o'));
  fails(Exit::data, "ends at byte 11, expected 12", [&] { real_files().open(folder / "a")->read_at(8, bytes); });
}

BOOST_AUTO_TEST_CASE(errors_name_path_and_reason) {
  const Folder folder;
  put(folder / "a", "x");
  fails(Exit::no_input, "none: No such file or directory", [&] { real_files().open(folder / "none"); });
  fails(Exit::no_input, "not a regular file", [&] { real_files().open(folder.path); });
  fails(Exit::cannot_create, "a: File exists", [&] { real_files().create(folder / "a"); });
  fails(Exit::cannot_create, "none/a: No such file", [&] { real_files().create(folder / "none/a"); });
  fails(Exit::cannot_create, "a/b: Not a directory", [&] { real_files().make_directories(folder / "a/b"); });
  fails(Exit::no_input, "cannot list", [&] { real_files().list(folder / "none"); });
  fails(Exit::data, "has 1 bytes, at most 0", [&] { base::read_all(real_files(), folder / "a", 0); });
  fails(Exit::io, "none to", [&] { real_files().rename(folder / "none", folder / "b"); });
}

BOOST_AUTO_TEST_CASE(a_full_device_is_an_io_error) {
  const Folder folder;
  // /dev/full itself cannot be opened exclusively; a limit on the size of files is the portable full disk.
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{100000, 100000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    int code = 0;
    try {
      put(folder / "large", std::string(1 << 20, 'x'));
    } catch (const base::Error& error) {
      code = std::string(error.what()).find("large: File too large") == std::string::npos
                 ? 1
                 : static_cast<int>(error.code());
    }
    ::_exit(code);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  BOOST_TEST(WEXITSTATUS(status) == 74);
}

BOOST_AUTO_TEST_CASE(links_are_made_once_and_not_followed) {
  const Folder folder;
  put(folder / "a", "a");
  put(folder / "b", "b");
  BOOST_TEST(real_files().link(folder / "a", folder / "c"));
  BOOST_TEST(!real_files().link(folder / "b", folder / "c"));
  BOOST_TEST(get(folder / "c") == "a");
  real_files().rename(folder / "b", folder / "c");
  BOOST_TEST(get(folder / "c") == "b");

  std::filesystem::create_symlink("a", folder / "soft");
  BOOST_TEST((real_files().entry(folder / "soft") == Entry::link));
  BOOST_TEST(get(folder / "soft") == "a");
  fails(Exit::permission, "symbolic link", [&] { real_files().open(folder / "soft", Links::refuse); });
  fails(Exit::cannot_create, "soft", [&] { real_files().create(folder / "soft"); });
  fails(Exit::permission, "symbolic link", [&] { real_files().lock(folder / "soft"); });
  std::filesystem::create_symlink(folder.path, folder / "loop");
  real_files().remove_tree(folder / "loop");
  BOOST_TEST(get(folder / "a") == "a");
}

BOOST_AUTO_TEST_CASE(lines_are_appended) {
  const Folder folder;
  real_files().append(folder / "log")->append("one\n");
  const auto first = real_files().append(folder / "log"), second = real_files().append(folder / "log");
  second->append("two\n");
  first->append("three\n");
  BOOST_TEST(get(folder / "log") == "one\ntwo\nthree\n");
  std::filesystem::create_symlink(folder / "log", folder / "link");
  fails(Exit::permission, "symbolic link", [&] { real_files().append(folder / "link"); });
  fails(Exit::cannot_create, "none/log: No such file", [&] { real_files().append(folder / "none" / "log"); });
}

BOOST_AUTO_TEST_CASE(names) {
  const Folder folder;
  real_files().make_directories(folder / "x/y");
  put(folder / "x/b", "");
  put(folder / "x/a", "");
  BOOST_TEST(real_files().list(folder / "x") == (std::vector<std::string>{"a", "b", "y"}));
  BOOST_TEST((real_files().entry(folder / "x/y") == Entry::directory));
  BOOST_TEST((real_files().entry(folder / "x/a") == Entry::file));
  BOOST_TEST((real_files().entry(folder / "x/a/b") == Entry::none));
  real_files().remove(folder / "x/a");
  real_files().remove(folder / "x/a");
  BOOST_TEST(!real_files().exists(folder / "x/a"));
  real_files().sync_directory(folder / "x");
  BOOST_TEST(real_files().free_bytes(folder.path) > 0);
}

BOOST_AUTO_TEST_CASE(one_process_holds_a_lock) {
  const Folder folder;
  auto lock = real_files().lock(folder / "lock");
  BOOST_TEST((lock != nullptr));
  BOOST_TEST((real_files().lock(folder / "lock") == nullptr));
  lock.reset();
  BOOST_TEST((real_files().lock(folder / "lock") != nullptr));
}

BOOST_AUTO_TEST_CASE(atomic_writing_leaves_one_file) {
  const Folder folder;
  base::write_atomically(real_files(), folder / "a", "first");
  base::write_atomically(real_files(), folder / "a", "second");
  BOOST_TEST(get(folder / "a") == "second");
  BOOST_TEST(real_files().list(folder.path).size() == 1u);
  real_files().make_directories(folder / "d");
  put(folder / "d/x", "");
  BOOST_CHECK_THROW(base::write_atomically(real_files(), folder / "d", "text"), base::Error);
  BOOST_TEST(real_files().list(folder.path) == (std::vector<std::string>{"a", "d"}));
}

BOOST_AUTO_TEST_SUITE_END()
