#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "thresher/base/json_depth.h"
#include "thresher/schedule/status.h"

namespace thresher::schedule {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::int64_t deepest = 8;
constexpr std::string_view format = "thresher-status";
constexpr std::string_view names[] = {"starting", "loading", "scoring", "stopping",
                                      "merging",  "done",    "failed",  "stopped"};

State state_of(const std::string& name) {
  for (std::size_t i = 0; i < std::size(names); ++i)
    if (names[i] == name) return static_cast<State>(i);
  base::fail(base::Exit::data, "state \"" + name + "\" is unknown");
}

// Messages may quote file names, which are any bytes.
std::string text_of(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json json_of(const Status& status) {
  Json json;
  json["format"] = format;
  json["version"] = 1;
  json["state"] = names[static_cast<std::size_t>(status.state)];
  json["message"] = status.message;
  json["exit_code"] = is_over(status.state) ? Json(static_cast<int>(status.exit_code)) : Json();
  json["documents"] = status.documents;
  json["documents_done"] = status.documents_done;
  json["shards"] = status.shards;
  json["shards_done"] = status.shards_done;
  json["tokens"] = status.tokens;
  json["rejected"] = status.rejected;
  json["nan"] = status.nan;
  json["tokens_per_second"] = status.tokens_per_second;
  json["eta_seconds"] = status.eta ? Json(*status.eta) : Json();
  json["seconds"] = status.seconds;
  json["ranks"] = status.ranks;
  json["layout"] = status.layout;
  json["host"] = status.host;
  json["process"] = status.process;
  json["started"] = status.started;
  json["written"] = status.written;
  json["written_at"] = status.written_at;
  json["heartbeats"] = Json::array();
  for (const Heartbeat& beat : status.heartbeats)
    json["heartbeats"].push_back({{"rank", beat.rank}, {"silence", beat.silence}, {"doing", beat.doing}});
  return json;
}

Status status_of(const Json& json) {
  Status status;
  if (json.at("format") != format) base::fail(base::Exit::data, "it is of another format");
  status.state = state_of(json.at("state").get<std::string>());
  json.at("message").get_to(status.message);
  if (const Json& code = json.at("exit_code"); !code.is_null()) status.exit_code = base::Exit{code.get<int>()};
  json.at("documents").get_to(status.documents);
  json.at("documents_done").get_to(status.documents_done);
  json.at("shards").get_to(status.shards);
  json.at("shards_done").get_to(status.shards_done);
  json.at("tokens").get_to(status.tokens);
  json.at("rejected").get_to(status.rejected);
  json.at("nan").get_to(status.nan);
  json.at("tokens_per_second").get_to(status.tokens_per_second);
  if (const Json& eta = json.at("eta_seconds"); !eta.is_null()) status.eta = eta.get<double>();
  json.at("seconds").get_to(status.seconds);
  json.at("ranks").get_to(status.ranks);
  json.at("layout").get_to(status.layout);
  json.at("host").get_to(status.host);
  json.at("process").get_to(status.process);
  json.at("started").get_to(status.started);
  json.at("written").get_to(status.written);
  json.at("written_at").get_to(status.written_at);
  for (const Json& beat : json.at("heartbeats"))
    status.heartbeats.push_back(
        {beat.at("rank").get<int>(), beat.at("silence").get<double>(), beat.at("doing").get<std::string>()});
  return status;
}

}  // namespace

std::string_view name_of(State state) {
  return names[static_cast<std::size_t>(state)];
}

std::string status_json(const Status& status) {
  return text_of(json_of(status));
}

Status parse_status(std::string_view text, const std::string& name) {
  base::check_json_depth(text, deepest, name);
  try {
    return status_of(Json::parse(text));
  } catch (const Json::exception& error) {
    base::fail(base::Exit::data, fmt::format("{} is no status of a job: {}", name, error.what()));
  } catch (const base::Error& error) {
    base::fail(base::Exit::data, fmt::format("{} is no status of a job: {}", name, error.what()));
  }
}

std::string look_json(const Look& look) {
  Json json = look.status ? json_of(*look.status) : Json::object();
  json["parts"] = look.count.parts;
  json["finished"] = look.count.finished;
  json["at_work"] = look.at_work;
  json["age"] = look.age;
  return text_of(json);
}

}  // namespace thresher::schedule
