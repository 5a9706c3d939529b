/// CPU time and memory of other processes, read from /proc: the same for servers of every language.
#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace stratwire::bench {

/// Nanoseconds on a core, of all threads that are alive.
inline std::uint64_t cpu_ns_of(const std::vector<int>& pids) {
  std::uint64_t sum = 0;
  for (const int pid : pids) {
    std::error_code ignored;
    for (const auto& task :
         std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", ignored)) {
      std::uint64_t ns = 0;
      std::ifstream(task.path() / "schedstat") >> ns;
      sum += ns;
    }
  }
  return sum;
}

/// Resident memory in bytes.
inline std::uint64_t memory_of(const std::vector<int>& pids) {
  std::uint64_t sum = 0;
  for (const int pid : pids) {
    std::ifstream status("/proc/" + std::to_string(pid) + "/status");
    for (std::string word; status >> word;) {
      if (word != "VmRSS:") continue;
      std::uint64_t kib = 0;
      status >> kib;
      sum += kib * 1024;
      break;
    }
  }
  return sum;
}

}  // namespace stratwire::bench
