// Files to a spool: one thread reads and cuts, some parse, the caller's writes in order.
#include "thresher/store/import.h"

#include <fmt/format.h>

#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "store/block.h"
#include "store/input.h"
#include "store/records.h"
#include "store/spool.h"
#include "thresher/base/bounded_queue.h"
#include "thresher/base/check.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;

constexpr std::size_t read_block = std::size_t{256} << 10;
// Blocks that were read but not yet written; one larger block may be alone in flight.
constexpr std::size_t bytes_in_flight = std::size_t{32} << 20;

// What the three kinds of threads share. The first error stops them all.
class Flow {
 public:
  // Waits for room. False when the flow has stopped.
  bool admit(Block block) {
    std::unique_lock lock(mutex_);
    const std::size_t bytes = block.bytes.size();
    room_.wait(lock, [&] { return stopped_ || in_flight_ == 0 || in_flight_ + bytes <= bytes_in_flight; });
    if (stopped_) return false;
    in_flight_ += bytes;
    sizes_[block.number] = bytes;
    lock.unlock();
    return blocks_.push(std::move(block));
  }
  std::optional<Block> next() { return blocks_.pop(); }

  void done(std::int64_t number, Records records) {
    const std::lock_guard lock(mutex_);
    done_.emplace(number, std::move(records));
    ready_.notify_one();
  }

  // No more than `blocks` will come.
  void end(std::int64_t blocks) {
    const std::lock_guard lock(mutex_);
    end_ = blocks;
    blocks_.close();
    ready_.notify_one();
  }

  // Records of block `number`; nothing after the last. Rethrows what stopped the flow.
  std::optional<Records> take(std::int64_t number) {
    std::unique_lock lock(mutex_);
    ready_.wait(lock, [&] { return stopped_ || end_ == number || done_.contains(number); });
    if (stopped_) std::rethrow_exception(error_);
    if (end_ == number) return std::nullopt;
    Records records = std::move(done_.extract(number).mapped());
    in_flight_ -= sizes_.extract(number).mapped();
    room_.notify_all();
    return records;
  }

  void stop(std::exception_ptr error) {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    error_ = std::move(error);
    blocks_.close();
    room_.notify_all();
    ready_.notify_all();
  }
  bool stopped() const {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable room_, ready_;
  base::BoundedQueue<Block> blocks_{std::size_t{1} << 20};
  std::map<std::int64_t, Records> done_;
  std::map<std::int64_t, std::size_t> sizes_;
  std::size_t in_flight_ = 0;
  std::int64_t end_ = -1;
  std::exception_ptr error_;
  bool stopped_ = false;
};

struct Reading {
  std::int64_t bytes = 0;
  std::string digests;
};

// Cuts every file into blocks; returns what was read.
Reading read_inputs(std::span<const base::Path> inputs, const ImportOptions& options, base::FileSystem& files,
                    Flow& flow) {
  Reading reading;
  std::int64_t blocks = 0;
  std::vector<char> buffer(read_block);
  for (const base::Path& path : inputs) {
    Input input(files, path);
    Cutter cutter(options, std::make_shared<const base::Path>(path), [&](Block block) {
      block.number = blocks++;
      flow.admit(std::move(block));
    });
    while (const std::size_t count = flow.stopped() ? 0 : input.read(buffer)) cutter.add({buffer.data(), count});
    if (flow.stopped()) return reading;
    cutter.finish(input.damage());
    reading.bytes += input.file_bytes();
    reading.digests += input.digest().hex();
  }
  flow.end(blocks);
  return reading;
}

template <class Work>
std::thread start(Flow& flow, Work work) {
  return std::thread([&flow, work] {
    try {
      work();
    } catch (...) {
      flow.stop(std::current_exception());
    }
  });
}

void parse_blocks(const ImportOptions& options, Flow& flow) {
  RecordParser parser(options);
  while (std::optional<Block> block = flow.next()) flow.done(block->number, parser.parse(*block));
}

void write_records(SpoolWriter& writer, Flow& flow, const ImportOptions& options, ImportReport& report) {
  for (std::int64_t number = 0; std::optional<Records> records = flow.take(number); ++number) {
    if (options.between) options.between();
    writer.append(*records);
    report.documents += static_cast<std::int64_t>(records->status.size());
    report.rejected += static_cast<std::int64_t>(records->notes.size());
    report.text_bytes += records->text_bytes;
  }
  writer.finish();
}

void check_options(const ImportOptions& options) {
  if (options.context_field.empty() != options.continuation_field.empty()) {
    fail(Exit::usage, "--context-field and --continuation-field belong together: give both or neither");
  }
  if (!options.context_field.empty() && options.format != Format::jsonl) {
    fail(Exit::usage, "--context-field and --continuation-field are fields of JSONL, not of other formats");
  }
  if (!options.separator.empty() && options.format != Format::paragraphs) {
    fail(Exit::usage, "--separator belongs to --format paragraphs");
  }
  if (options.document_limit < 1 || options.line_limit < 1)
    fail(Exit::usage, "the limits of a document and a line are at least 1 byte");
}

}  // namespace

ImportReport spool_files(std::span<const base::Path> inputs, const base::Path& spool, const ImportOptions& options,
                         base::FileSystem& files) {
  check_options(options);
  for (const base::Path& path : inputs) files.open(path);  // a name that is wrong is better known before hours of work
  ImportReport report;
  Reading reading;
  try {
    SpoolWriter writer(files, spool, options);
    Flow flow;
    std::vector<std::thread> threads;
    threads.push_back(start(flow, [&] { reading = read_inputs(inputs, options, files, flow); }));
    for (int i = 0; i < std::max(options.threads, 1); ++i)
      threads.push_back(start(flow, [&] { parse_blocks(options, flow); }));
    std::exception_ptr error;
    try {
      write_records(writer, flow, options, report);
    } catch (...) {
      error = std::current_exception();
      flow.stop(error);
    }
    for (std::thread& thread : threads) thread.join();
    if (error) std::rethrow_exception(error);
  } catch (...) {
    remove_spool(files, spool);
    throw;
  }
  report.input_bytes = reading.bytes;
  report.digest = reading.digests;
  return report;
}

ImportReport import_files(std::span<const base::Path> inputs, const base::Path& output, const base::Path& rejects,
                          const ImportOptions& options, base::FileSystem& files) {
  const base::Path spool = files.temporary_name(output);
  const ImportReport report = spool_files(inputs, spool, options, files);
  return merge_spools(std::span(&spool, 1), std::span(&report, 1), output, rejects, options, files);
}

}  // namespace thresher::store
