#include "store/summary_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "thresher/base/check.h"
#include "thresher/base/json_depth.h"

namespace thresher::store {

using base::Exit;
using base::fail;
using nlohmann::json;

namespace {
constexpr std::int64_t deepest = 16;
}  // namespace

void expect_totals(std::string_view summary, const Totals& totals, const std::string& name) {
  base::check_json_depth(summary, deepest, name);
  const json content = json::parse(summary, nullptr, false);
  if (!content.is_object()) fail(Exit::data, name + " is not a JSON object");
  const auto expect = [&](const json& object, const std::string& field, const auto& value) {
    const auto found = object.is_object() ? object.find(field) : object.end();
    const json sum = value;
    const std::string there = found == object.end() ? "absent" : found->dump();
    // As numbers, so that 0 is 0.0; as texts, because an infinite sum is written as null.
    if (there != sum.dump() && (found == object.end() || *found != sum))
      fail(Exit::data, fmt::format("{}: {} is {}, the parts add up to {}", name, field, there, sum.dump()));
  };
  expect(content, "documents", totals.documents);
  const json by_status = content.value("documents_by_status", json());
  for (std::size_t status = 0; status < std::size(totals.by_status); ++status)
    expect(by_status, std::string(name_of(static_cast<Status>(status))), totals.by_status[status]);
  expect(content, "tokens", totals.tokens);
  expect(content, "bytes", totals.bytes);
  expect(content, "words", totals.words);
  expect(content, "logprob", totals.logprob);
}

}  // namespace thresher::store
