#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "device/cuda/library.h"
#include "thresher/base/check.h"

namespace thresher::device::cuda {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("thresher-cuda-" + std::to_string(::getpid()));
  Folder() { fs::create_directory(path); }
  ~Folder() { fs::remove_all(path); }
};

// The message of what has to fail because something is not available.
template <class Call>
std::string refusal(const Call& call) {
  try {
    call();
  } catch (const base::Error& error) {
    BOOST_TEST((error.code() == base::Exit::unavailable));
    BOOST_TEST_MESSAGE(error.what());
    return error.what();
  }
  BOOST_ERROR("nothing was refused");
  return {};
}

bool has(const std::string& text, const std::string& word) {
  return text.find(word) != std::string::npos;
}

BOOST_FIXTURE_TEST_SUITE(cuda_library, Folder)

BOOST_AUTO_TEST_CASE(the_library_belongs_beside_the_program) {
  BOOST_TEST(library_file().filename() == library_name);
  BOOST_TEST(fs::equivalent(library_file().parent_path(), fs::read_symlink("/proc/self/exe").parent_path()));
}

BOOST_AUTO_TEST_CASE(a_missing_library_is_named) {
  const fs::path file = path / library_name;
  const std::string text = refusal([&] { load(file); });
  BOOST_TEST(has(text, file.string()));
  BOOST_TEST(has(text, "is missing"));
  BOOST_TEST(has(text, "--device cpu"));
}

BOOST_AUTO_TEST_CASE(a_file_that_is_no_library_is_named) {
  const fs::path file = path / library_name;
  std::ofstream(file) << "no library";
  const std::string text = refusal([&] { load(file); });
  BOOST_TEST(has(text, file.string()));
  BOOST_TEST(has(text, "cannot be loaded"));
  BOOST_TEST(has(text, "LD_LIBRARY_PATH"));
}

// Whatever this machine and this build lack, it is said; where they lack nothing, there are GPUs.
BOOST_AUTO_TEST_CASE(a_machine_without_a_gpu_says_what_is_missing) {
  std::vector<Gpu> found;
  try {
    found = gpus();
  } catch (const base::Error& error) {
    BOOST_TEST_MESSAGE(error.what());
    BOOST_TEST((error.code() == base::Exit::unavailable));
    const std::string text = error.what();
    const bool known = has(text, "built without CUDA") || has(text, "is missing") || has(text, "cannot be loaded") ||
                       has(text, "no NVIDIA driver") || has(text, "too old") || has(text, "no GPU") ||
                       has(text, "cannot be used");
    BOOST_TEST(known, text);
    BOOST_TEST(refusal([] { make_cuda_device({}); }) == text);
    return;
  }
  BOOST_TEST(!found.empty());
  for (const Gpu& gpu : found) BOOST_TEST(gpu.uuid.starts_with("GPU-"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace thresher::device::cuda
