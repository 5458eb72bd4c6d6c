// How fast import is, and that its memory does not grow with the corpus. The figures are printed with
//   test_store --run_test=import_speed --log_level=message
#include <malloc.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>
#include <limits>

#include "store/compressed.h"
#include "store/fixture.h"
#include "thresher/base/clock.h"
#include "thresher/store/import.h"

using namespace thresher;
using store::Format;
using tests::Folder;

namespace {

constexpr double mebi = 1 << 20;

// Peak of this process's memory in MiB since the last call of forget_peak.
double peak() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stod(line.substr(6)) / 1024;
  }
  return 0;
}

// What earlier tests have freed goes back to the system first: memory that is there already would not count.
void forget_peak() {
  malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << "5";
}

// About `bytes` bytes of rows as `row` writes them, 100 to 2,000 letters each.
template <class Row>
std::string make_text(std::size_t bytes, Row row) {
  const std::string words =
      "the quick brown fox jumps over the lazy dog and then it rests a while under an old oak tree; ";
  std::string text, body;
  for (std::int64_t i = 0; text.size() < bytes; ++i) {
    body.clear();
    const auto size = static_cast<std::size_t>(100 + i * 7919 % 1900);
    while (body.size() < size)
      body += words.substr(static_cast<std::size_t>(i) % 40) + std::to_string(i * 31 % 9973) + " ";
    row(text, i, body);
  }
  return text;
}

std::string make_jsonl(std::size_t bytes) {
  return make_text(bytes, [](std::string& text, std::int64_t i, const std::string& body) {
    text += "{\"id\": \"row-" + std::to_string(i) + "\", \"meta\": {\"n\": [1, 2, 3]}, \"text\": \"" + body + "\"}\n";
  });
}

struct Measured {
  double seconds = 0, peak = 0;
};

Measured measure(const Folder& folder, const base::Path& input, Format format, int threads) {
  store::ImportOptions options;
  options.format = format;
  options.threads = threads;
  forget_peak();
  const double before = peak();
  const base::Stopwatch watch;
  const std::vector<base::Path> inputs{input};
  const store::ImportReport report =
      store::import_files(inputs, folder / "corpus.h5", folder / "rejects.jsonl", options);
  const Measured measured{watch.seconds(), peak() - before};
  BOOST_TEST(report.rejected == 0);
  BOOST_TEST(report.documents > 0);
  return measured;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(import_speed)

BOOST_AUTO_TEST_CASE(memory_does_not_grow_with_the_corpus) {
#ifdef __SANITIZE_ADDRESS__
  BOOST_TEST_MESSAGE("skipped: the address sanitizer holds freed memory back");
  return;
#endif
  const Folder folder;
  std::vector<double> peaks;
  for (const std::size_t size : {std::size_t{40} << 20, std::size_t{320} << 20}) {
    base::Path input;
    {
      const std::string block = make_jsonl(40 << 20);
      input = folder / ("in" + std::to_string(size));
      const auto file = base::real_files().create(input);
      for (std::size_t at = 0; at < size; at += 40 << 20) {
        file->write_at(static_cast<std::int64_t>(at / (40 << 20) * block.size()), std::as_bytes(std::span(block)));
      }
    }
    // How full the queues are depends on who gets the cores: a peak alone may be 50 MiB above another.
    double least = std::numeric_limits<double>::infinity();
    for (int run = 0; run < 3; ++run) least = std::min(least, measure(folder, input, Format::jsonl, 2).peak);
    BOOST_TEST_MESSAGE("corpus of " << size / mebi << " MiB: " << least << " MiB more memory at the peak");
    peaks.push_back(least);
  }
  BOOST_TEST(peaks[1] < 120);
  BOOST_TEST(peaks[1] < peaks[0] + 40);
}

BOOST_AUTO_TEST_CASE(speed) {
  const Folder folder;
  const std::string jsonl = make_jsonl(100 << 20);
  const std::string lines =
      make_text(100 << 20, [](std::string& text, std::int64_t, const std::string& body) { text += body + "\n"; });
  struct Case {
    const char* name;
    base::Path input;
    Format format;
    std::size_t bytes;
  };
  const std::vector<Case> cases{{"text, a line a document", folder.put("lines", lines), Format::lines, lines.size()},
                                {"JSONL", folder.put("jsonl", jsonl), Format::jsonl, jsonl.size()},
                                {"JSONL, gzip", folder.put("gz", tests::gzip(jsonl)), Format::jsonl, jsonl.size()},
                                {"JSONL, zstd", folder.put("zst", tests::zstd(jsonl)), Format::jsonl, jsonl.size()}};
  for (const Case& one : cases) {
    for (const int threads : {1, 2}) {
      const Measured measured = measure(folder, one.input, one.format, threads);
      BOOST_TEST_MESSAGE(one.name << ", " << threads << " threads: " << one.bytes / mebi / measured.seconds
                                  << " MiB/s of plain bytes");
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
