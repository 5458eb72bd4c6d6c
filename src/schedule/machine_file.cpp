// Machine descriptions: JSON with every field documented in configs/README.md.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "thresher/base/check.h"
#include "thresher/base/json_depth.h"
#include "thresher/schedule/machine.h"

namespace thresher::schedule {
namespace {

using Json = nlohmann::json;

constexpr std::int64_t deepest = 16;
constexpr std::int64_t size_limit = 1'000'000;  // bytes
constexpr double huge = 1e30;

// One JSON object; every member has to be asked for.
class Object {
 public:
  Object(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) fail("has to be an object");
  }

  bool has(const char* name) { return json_.contains(name); }

  double number(const char* name, double least, double most, std::optional<double> otherwise = {}) {
    const Json* const value = find(name, otherwise.has_value());
    return value ? checked(*value, name, least, most) : *otherwise;
  }
  std::int64_t whole(const char* name, std::int64_t least, std::int64_t most,
                     std::optional<std::int64_t> otherwise = {}) {
    const Json* const value = find(name, otherwise.has_value());
    if (!value) return *otherwise;
    if (!value->is_number_integer()) fail(fmt::format("{} has to be a whole number", name));
    return static_cast<std::int64_t>(checked(*value, name, static_cast<double>(least), static_cast<double>(most)));
  }
  std::string text(const char* name) {
    const Json& value = *find(name, false);
    if (!value.is_string()) fail(fmt::format("{} has to be text", name));
    return value.get<std::string>();
  }
  Object object(const char* name) { return {*find(name, false), where_ + ", " + name}; }
  // A number, or pairs [size, number] with rising sizes.
  Curve curve(const char* name, double unit) {
    const Json& value = *find(name, false);
    if (!value.is_array()) return Curve(unit * checked(value, name, 1e-9, huge));
    std::vector<std::pair<double, double>> points;
    for (const Json& pair : value) {
      if (!pair.is_array() || pair.size() != 2)
        fail(fmt::format("{} has to be a number or [size, number] pairs", name));
      const double size = checked(pair[0], name, 1, huge);
      if (!points.empty() && size <= points.back().first) fail(fmt::format("the sizes of {} have to rise", name));
      points.emplace_back(size, unit * checked(pair[1], name, 1e-9, huge));
    }
    if (points.empty()) fail(fmt::format("{} is empty", name));
    return Curve(std::move(points));
  }
  std::vector<double> numbers(const char* name, std::size_t count) {
    const Json& value = *find(name, false);
    if (!value.is_array() || value.size() != count) fail(fmt::format("{} has to be {} numbers", name, count));
    std::vector<double> result;
    for (const Json& one : value) result.push_back(checked(one, name, 1e-9, huge));
    return result;
  }
  std::vector<std::string> names() {
    std::vector<std::string> result;
    for (const auto& [name, value] : json_.items()) result.push_back(name);
    return result;
  }

  void finish() {
    for (const auto& [name, value] : json_.items())
      if (std::find(asked_.begin(), asked_.end(), name) == asked_.end()) fail(fmt::format("{} is not a field", name));
  }

  [[noreturn]] void fail(const std::string& problem) const {
    base::fail(base::Exit::data, fmt::format("{}: {}; see configs/README.md", where_, problem));
  }

 private:
  const Json* find(const char* name, bool optional) {
    asked_.emplace_back(name);
    const auto found = json_.find(name);
    if (found != json_.end()) return &*found;
    if (!optional) fail(fmt::format("{} is missing", name));
    return nullptr;
  }
  double checked(const Json& value, const char* name, double least, double most) const {
    if (!value.is_number()) fail(fmt::format("{} has to be a number", name));
    const double number = value.get<double>();
    if (!(number >= least && number <= most))
      fail(fmt::format("{} is {}, but has to be from {} to {}", name, number, least, most));
    return number;
  }

  const Json& json_;
  std::string where_;
  std::vector<std::string> asked_;
};

Link read_link(Object object) {
  const Link link{1e-6 * object.number("latency_us", 0, 1e9), 1e9 * object.number("gb_per_second", 1e-9, 1e9)};
  object.finish();
  return link;
}

void read_rates(Object object, Machine& machine) {
  for (const std::string& dtype : object.names()) {
    Object one = object.object(dtype.c_str());
    machine.rates.emplace(dtype,
                          Rates{one.curve("layers", 1e12), one.curve("head", 1e12), one.curve("attention", 1e12)});
    one.finish();
  }
  if (machine.rates.empty()) object.fail("there are no rates");
}

void read_storage(Object object, Machine& machine) {
  machine.storage_read = 1e9 * object.number("read", 1e-9, 1e9);
  machine.storage_read_node = 1e9 * object.number("read_node", 1e-9, 1e9);
  machine.storage_write = 1e9 * object.number("write", 1e-9, 1e9);
  object.finish();
}

void read_copies(Object object, Machine& machine) {
  machine.copy = 1e9 * object.number("device", 1e-9, 1e9);
  machine.copy_node = 1e9 * object.number("node", 1e-9, 1e9);
  object.finish();
}

void read_node(Object& object, Machine& machine) {
  constexpr double gib = 1024.0 * 1024 * 1024;
  machine.nodes = static_cast<int>(object.whole("nodes", 1, 1'000'000, 1));
  machine.devices = static_cast<int>(object.whole("devices", 1, 1024));
  machine.cores = static_cast<int>(object.whole("cores", 1, 65536));
  machine.node_memory = static_cast<std::int64_t>(gib * object.number("node_memory_gib", 1e-3, 1e9));
  if (machine.shared_cores() && object.has("device_memory_gib"))
    object.fail("device_memory_gib is for \"cuda\"; a CPU's ranks share node_memory_gib");
  if (!machine.shared_cores())
    machine.device_memory = static_cast<std::int64_t>(gib * object.number("device_memory_gib", 1e-3, 1e9));
  machine.base_memory = static_cast<std::int64_t>(gib * object.number("base_memory_gib", 0, 1e6));
}

}  // namespace

Machine parse_machine(std::string_view json, const std::string& name) {
  base::check_json_depth(json, deepest, name);
  const Json parsed = Json::parse(json, nullptr, false);
  if (parsed.is_discarded()) base::fail(base::Exit::data, name + " is not JSON");
  Object object(parsed, name);
  Machine machine;
  machine.name = object.text("name");
  machine.device = object.text("device");
  if (machine.device != "cpu" && machine.device != "cuda")
    object.fail(fmt::format("device is '{}', but has to be cpu or cuda", machine.device));
  read_node(object, machine);
  machine.tokens_per_batch = object.whole("tokens_per_batch", 1, 1 << 24, 1024);
  machine.exchange_bytes = object.number("exchange_bytes", 1, 8, 4);
  read_rates(object.object("tflops"), machine);
  machine.narrow_heads = object.number("narrow_heads", 1e-3, 10, 1);
  machine.elementwise = 1e9 * object.number("elementwise_gb_per_second", 1e-9, 1e9);
  machine.batch_overhead = 1e-6 * object.number("half_layer_overhead_us", 0, 1e9, 0);
  if (object.has("shard_efficiency")) machine.shard_efficiency = object.numbers("shard_efficiency", 4);
  machine.tokenize = object.number("tokenize_per_core", 0, 1e12, 0);
  if (!machine.shared_cores() && object.has("host_copy_gb_per_second"))
    read_copies(object.object("host_copy_gb_per_second"), machine);
  machine.inside = read_link(object.object("inside"));
  machine.between = read_link(object.object("between"));
  read_storage(object.object("storage_gb_per_second"), machine);
  machine.device_watts = object.number("device_watts", 0, 1e6);
  machine.node_watts = object.number("node_watts", 0, 1e6);
  machine.price = object.number("price_per_node_hour", 0, 1e9, 0);
  object.finish();
  return machine;
}

Machine read_machine(base::FileSystem& files, const base::Path& path) {
  return parse_machine(base::read_all(files, path, size_limit), path.string());
}

}  // namespace thresher::schedule
