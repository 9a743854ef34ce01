#include "base/memory.hpp"

#include <fstream>
#include <optional>
#include <sstream>

#include "base/error.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// The kilobytes behind `key` in a file like /proc/meminfo, in bytes.
std::optional<int64_t> bytes_in(const fs::path& file, const std::string& key) {
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key)) return std::stoll(line.substr(key.size())) * 1024;
  return std::nullopt;
}

/// The least number in `file` of a control group and those around it, up to the root of its hierarchy.
int64_t least_limit(const fs::path& hierarchy, const fs::path& group, const char* file, int64_t least) {
  for (fs::path at = group.relative_path();; at = at.parent_path()) {
    std::ifstream limit(hierarchy / at / file);
    int64_t bytes = 0;
    if (limit >> bytes) least = std::min(least, bytes);   // "max" is no number
    if (at.empty()) return least;
  }
}

}  // namespace

int64_t memory_limit(const fs::path& root) {
  const auto machine = bytes_in(root / "proc/meminfo", "MemTotal:");
  require(machine.has_value(), (root / "proc/meminfo").string(), " does not say how much memory there is (MemTotal)");
  int64_t least = *machine;
  std::ifstream groups(root / "proc/self/cgroup");   // a line: number:controllers:/group
  for (std::string line; std::getline(groups, line);) {
    std::istringstream parts(line);
    std::string number, controllers, group;
    std::getline(parts, number, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, group);
    if (controllers.empty()) least = least_limit(root / "sys/fs/cgroup", group, "memory.max", least);
    else if (("," + controllers + ",").find(",memory,") != std::string::npos)
      least = least_limit(root / "sys/fs/cgroup/memory", group, "memory.limit_in_bytes", least);
  }
  return least;
}

int64_t memory_limit() { return memory_limit("/"); }

int64_t most_resident_bytes() { return bytes_in("/proc/self/status", "VmHWM:").value_or(0); }

}  // namespace pyracast
