#include "store/plan_file.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "thresher/base/check.h"
#include "thresher/base/hash.h"
#include "thresher/base/json_depth.h"

namespace thresher::store {
namespace {

using base::Exit;
using base::fail;
using nlohmann::json;

constexpr std::int64_t newest_version = 1;
constexpr int deepest = 8;

json parse(std::string_view text, const std::string& name) {
  base::check_json_depth(text, deepest, name);
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    fail(Exit::data, fmt::format("{} is damaged: {}; start anew with --fresh", name, error.what()));
  }
}

// A fraction or a number beyond 63 bits would become some other number.
std::int64_t whole(const json& value, const std::string& name) {
  const bool fits = value.is_number_integer() &&
                    !(value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
  if (!fits)
    fail(Exit::data,
         fmt::format("{} is damaged: {} stands where a whole number below 2^63 is expected; start anew with "
                     "--fresh",
                     name, value.is_number() ? value.dump() : value.type_name()));
  return value.get<std::int64_t>();
}

// Of documents: from 0, rising.
std::vector<std::int64_t> shards_of(const json& value, const std::string& name) {
  if (!value.is_array() || value.empty())
    fail(Exit::data, fmt::format("{} is damaged: \"shards\" is not a list of numbers; start anew with --fresh", name));
  std::vector<std::int64_t> shards;
  for (const json& first : value) {
    shards.push_back(whole(first, name));
    const std::int64_t least = shards.size() == 1 ? 0 : shards[shards.size() - 2];
    if (shards.back() < least || (shards.size() == 1 && shards.back() != 0))
      fail(Exit::data,
           fmt::format("{} is damaged: shard {} begins at document {}, expected {}{}; start anew with --fresh", name,
                       shards.size() - 1, shards.back(), least, shards.size() == 1 ? "" : " or more"));
  }
  return shards;
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
    if (const std::int64_t version = whole(content.at("version"), name); version < 1 || version > newest_version) {
      fail(Exit::data, fmt::format("{} has version {}, this program reads up to {}", name, version, newest_version));
    }
    return {content.at("values").get<std::map<std::string, std::string>>(), shards_of(content.at("shards"), name)};
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
