#pragma once
#include <filesystem>
#include <functional>
#include <string>

namespace pyracast {

/// A sample that needs not be made again.
struct FinishedSample {
  std::string id;
  int64_t sample = 0;
  bool failed = false;
};

/// Brings an output folder in order after whatever happened to its last run:
///   - temporary files are removed;
///   - a shard or journal that is broken or of another fingerprint is put aside (quarantine/);
///   - a sample whose video file is gone is taken out of its shard, so that it is made again;
///   - sound records of leftover journals are folded into shards.
/// Afterwards every finished sample stands in exactly one sealed shard and has its video. Calls `each` with every one of
/// them once, and `say` with what a user should know. Memory goes with the samples of the leftover journals and of one
/// shard. It may itself be killed and run again. No other process may write into the folder.
void recover(const std::filesystem::path& output, const std::string& fingerprint, const std::string& configuration,
             const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say);

}  // namespace pyracast
