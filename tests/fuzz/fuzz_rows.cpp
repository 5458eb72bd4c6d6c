// JSONL, lines and paragraphs, cut at random places: every row is kept, with content or with a reason, and where the
// pieces end changes nothing.
#include <memory>
#include <string>
#include <vector>

#include "fuzz/refusal.h"
#include "store/block.h"
#include "store/records.h"

namespace store = thresher::store;

namespace {

struct Rows {
  std::vector<store::Intake> status;
  std::vector<std::int64_t> lengths;
  bool operator==(const Rows&) const = default;
};

Rows rows_of(std::string_view input, std::size_t piece, const store::ImportOptions& options) {
  Rows rows;
  store::RecordParser parser(options);
  store::Cutter cutter(options, std::make_shared<const thresher::base::Path>("input"), [&](store::Block block) {
    const store::Records records = parser.parse(block);
    if (records.lengths.size() != records.status.size()) std::abort();
    rows.status.insert(rows.status.end(), records.status.begin(), records.status.end());
    rows.lengths.insert(rows.lengths.end(), records.lengths.begin(), records.lengths.end());
  });
  for (std::size_t at = 0; at < input.size(); at += piece) cutter.add(input.substr(at, piece));
  cutter.finish("");
  return rows;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  store::ImportOptions options;
  constexpr store::Format formats[] = {store::Format::jsonl, store::Format::lines, store::Format::paragraphs,
                                       store::Format::files};
  options.format = formats[data[0] % 4];
  const std::string_view input = thresher::text_of(data + 2, size - 2);
  return thresher::refusal_is_fine([&] {
    if (rows_of(input, 1 + data[1], options) != rows_of(input, input.size() + 1, options)) std::abort();
  });
}
