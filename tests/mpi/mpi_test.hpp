#pragma once
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "base/error.hpp"
#include "comm/ranks.hpp"
#include "dataset/manifest.hpp"

namespace pyracast {

/// The processes this program runs on; made by main.
const Ranks& test_ranks();

/// What every rank has to say, on every rank.
std::vector<int64_t> gathered(int64_t value);

/// Waits, asleep, for what another rank does; ctest ends a wait that has no end.
inline void wait_until(const std::function<bool()>& happened) {
  while (!happened()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

/// A test that all ranks run, with one folder for all of them, removed at its end. Ranks speak through its files where
/// a test must do without MPI.
class MpiTest : public testing::Test {
 protected:
  MpiTest();
  ~MpiTest() override;

  /// Makes a file in the folder / whether some rank has made it.
  void mark(const std::string& name) const { std::ofstream(folder_ / name) << 1; }
  bool marked(const std::string& name) const { return std::filesystem::exists(folder_ / name); }

  /// A manifest of `prompts` rows; row i takes 1 + i % 7 steps and costs as much, with `samples(i)` samples.
  Manifest manifest_of(
      int prompts, const std::function<int(int)>& samples = [](int) { return 1; }) const;

  const Ranks& ranks_ = test_ranks();
  std::filesystem::path folder_;
};

}  // namespace pyracast
