#include "schedule/transport.h"

#include <fmt/format.h>

#include <map>
#include <vector>

#include "schedule/agree.h"
#include "thresher/base/check.h"
#include "thresher/base/log.h"

namespace thresher::schedule {
namespace {

// Why NCCL cannot serve these ranks; empty where it can.
std::string obstacle(std::span<const TransportEnd> ends) {
  std::map<std::string, std::size_t> users;
  for (std::size_t rank = 0; rank < ends.size(); ++rank) {
    const auto [user, is_first] = users.emplace(ends[rank].gpu, rank);
    if (!is_first) return fmt::format("ranks {} and {} share a GPU, {}", user->second, rank, ends[rank].gpu);
  }
  const comm::NcclState& first = ends.front().nccl;
  for (std::size_t rank = 0; rank < ends.size(); ++rank) {
    const comm::NcclState& nccl = ends[rank].nccl;
    if (nccl.version == 0) return fmt::format("rank {}: {}", rank, nccl.trouble);
    if (nccl.version != first.version)
      return fmt::format("rank 0 has NCCL {}, rank {} has {}", comm::nccl_version_text(first.version), rank,
                         comm::nccl_version_text(nccl.version));
  }
  return "";
}

}  // namespace

Transport choose_transport(GpuTransport wanted, const comm::Layout& layout, std::span<const TransportEnd> ends) {
  if (layout.stages * layout.shards == 1) return {false, "none: each GPU has a whole model"};
  if (wanted == GpuTransport::host) return {false, "through the host, as --gpu-transport says"};
  if (const std::string why = obstacle(ends); !why.empty()) {
    if (wanted == GpuTransport::nccl)
      base::fail(base::Exit::config, fmt::format("--gpu-transport nccl cannot be: {}", why), std::source_location());
    return {false, "through the host: " + why};
  }
  return {true, "NCCL " + comm::nccl_version_text(ends.front().nccl.version)};
}

Transport agree_on_transport(comm::Comm& world, const Job& job, const comm::Layout& layout,
                             std::span<const std::string> gpus, std::span<const std::string> names) {
  if (gpus.empty()) return {};
  const comm::NcclState mine = comm::nccl_state();
  std::vector<TransportEnd> ends;
  for (const std::string& text : world.all_gather(fmt::format("{}\n{}", mine.version, mine.trouble))) {
    const std::size_t line = text.find('\n');
    ends.push_back({.gpu = gpus[ends.size()], .nccl = {std::stoi(text.substr(0, line)), text.substr(line + 1)}});
  }
  Transport transport;
  agree(world, names, [&] { transport = choose_transport(job.gpu_transport, layout, ends); });
  base::info("exchange between GPUs: " + transport.text);
  return transport;
}

}  // namespace thresher::schedule
