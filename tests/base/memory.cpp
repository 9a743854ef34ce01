#include "base/memory.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;

/// Writes a file of a made-up machine.
void put(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

TEST(MemoryLimit, IsTheMachinesMemoryWhereNothingSaysLess) {
  const TemporaryFolder root;
  put(root / "proc/meminfo", "MemTotal:        1000 kB\nMemFree:          10 kB\n");
  EXPECT_EQ(memory_limit(root.path()), 1000 * 1024);
  put(root / "proc/self/cgroup", "0::/\n");
  put(root / "sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(memory_limit(root.path()), 1000 * 1024);
}

TEST(MemoryLimit, IsTheLeastOfAllGroupsAround) {
  const TemporaryFolder root;
  put(root / "proc/meminfo", "MemTotal:        1000 kB\n");
  put(root / "proc/self/cgroup", "0::/job/step\n");
  put(root / "sys/fs/cgroup/job/step/memory.max", "max\n");
  put(root / "sys/fs/cgroup/job/memory.max", "4096\n");
  EXPECT_EQ(memory_limit(root.path()), 4096);
  put(root / "sys/fs/cgroup/job/step/memory.max", "512\n");
  EXPECT_EQ(memory_limit(root.path()), 512);
}

TEST(MemoryLimit, KnowsTheFirstVersionOfControlGroups) {
  const TemporaryFolder root;
  put(root / "proc/meminfo", "MemTotal:        1000 kB\n");
  put(root / "proc/self/cgroup", "5:cpu:/other\n4:hugetlb,memory:/job\n");
  put(root / "sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2048\n");
  put(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(memory_limit(root.path()), 2048);
}

TEST(MemoryLimit, SaysWhereItLooksInVain) {
  const TemporaryFolder root;
  EXPECT_ANY_THROW(memory_limit(root.path()));
}

TEST(MostResidentBytes, IsMoreThanNothing) { EXPECT_GT(most_resident_bytes(), 1 << 20); }

}  // namespace
}  // namespace pyracast
