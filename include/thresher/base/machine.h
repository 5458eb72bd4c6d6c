// What the process can see of its machine.
#pragma once

#include <cstdint>
#include <string>

namespace thresher::base {

std::string host_name();
// What the cgroup's quota is worth in cores, at least 1; 0 where there is none.
int quota_cores();
// The numbers of the hardware threads this process may run on, as "0-3,8".
std::string core_list();
// The most memory this process has held, in bytes.
std::int64_t peak_memory();
// Bytes that this machine, and every control group around this process, can still give.
std::int64_t available_memory();
// Total memory of the machine in bytes.
std::int64_t machine_memory();

}  // namespace thresher::base
