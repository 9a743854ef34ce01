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

/// How much recover() compares with checksums. Always: all columns of all shards; and it looks whether each video is there.
enum class RecoverReads {
  what_changed,   ///< and whole shards of up to 64 MiB or newer than index.h5, and videos newer than the shard or journal that names them
  everything      ///< and all of all files
};

/// Brings an output folder in order after whatever happened to its last run:
///   - temporary files are removed;
///   - a shard or journal that is broken or of another fingerprint is put aside (quarantine/);
///   - a sample whose video file is gone is taken out of its shard, so that it is made again; so is one whose video does
///     not fit its checksum, and that file is put aside;
///   - sound records of leftover journals are folded into shards.
/// Afterwards every finished sample stands in exactly one sealed shard and has its video. Calls `each` with every one of
/// them once, and `say` with what a user should know. Memory goes with the samples of the leftover journals and of one
/// shard. It may itself be killed and run again. No other process may write into the folder.
void recover(const std::filesystem::path& output, const std::string& fingerprint, const std::string& configuration,
             const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say,
             RecoverReads reads = RecoverReads::what_changed);

}  // namespace pyracast
