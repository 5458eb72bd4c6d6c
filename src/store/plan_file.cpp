#include "store/plan_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "thresher/base/check.h"
#include "thresher/base/hash.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;
using nlohmann::json;

constexpr std::int64_t newest_version = 1;
constexpr int deepest = 8;

json parse(std::string_view text, const std::string& name) {
  const auto shallow = [&](int depth, json::parse_event_t, json&) {
    if (depth > deepest)
      fail(Exit::data, fmt::format("{} is nested {} deep, at most {} levels are allowed", name, depth, deepest));
    return true;
  };
  try {
    return json::parse(text, shallow);
  } catch (const json::exception& error) {
    fail(Exit::data, fmt::format("{} is damaged: {}; start anew with --fresh", name, error.what()));
  }
}

}  // namespace

bool Plan::sharded() const {
  const auto mode = values.find("output_mode");
  return mode != values.end() && mode->second == "sharded";
}

std::string Plan::identity() const {
  return base::digest_of(format_plan(*this)).hex();
}

std::string format_values(const Plan& plan) {
  return json(plan.values).dump(-1, ' ', false, json::error_handler_t::replace);
}

std::map<std::string, std::string> parse_values(std::string_view text, const std::string& name) {
  try {
    return parse(text, name).get<std::map<std::string, std::string>>();
  } catch (const json::exception& error) {
    fail(Exit::data, fmt::format("{}: its attribute plan is damaged: {}", name, error.what()));
  }
}

std::string format_plan(const Plan& plan) {
  const std::string values = json(plan.values).dump(2, ' ', false, json::error_handler_t::replace);
  return fmt::format("{{\n\"format\": \"thresher-plan\",\n\"version\": {},\n\"values\": {},\n\"shards\": {}\n}}\n",
                     newest_version, values, json(plan.shards).dump());
}

Plan parse_plan(std::string_view text, const std::string& name) {
  const json content = parse(text, name);
  try {
    if (content.at("format") != "thresher-plan") fail(Exit::data, name + " is not a plan of this program");
    if (const auto version = content.at("version").get<std::int64_t>(); version < 1 || version > newest_version) {
      fail(Exit::data, fmt::format("{} has version {}, this program reads up to {}", name, version, newest_version));
    }
    return {content.at("values").get<std::map<std::string, std::string>>(),
            content.at("shards").get<std::vector<std::int64_t>>()};
  } catch (const json::exception& error) {
    fail(Exit::data, fmt::format("{} is damaged: {}; start anew with --fresh", name, error.what()));
  }
}

std::string differences(const Plan& there, const Plan& now) {
  const auto value = [](const Plan& plan, const std::string& name) {
    const auto found = plan.values.find(name);
    return found == plan.values.end() ? std::string("absent") : found->second;
  };
  std::set<std::string> names;
  for (const Plan* plan : {&there, &now}) {
    for (const auto& entry : plan->values) names.insert(entry.first);
  }
  std::string lines;
  for (const std::string& name : names) {
    const std::string before = value(there, name), after = value(now, name);
    if (before != after) lines += fmt::format("\n  {}: {} there, {} now", name, before, after);
  }
  if (there.shards != now.shards) {
    lines += fmt::format("\n  shards: {} there, {} now, cut differently", there.shard_count(), now.shard_count());
  }
  return lines;
}

}  // namespace thresher::store
