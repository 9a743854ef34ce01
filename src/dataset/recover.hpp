#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "dataset/sample.hpp"

namespace pyracast {

/// A sample that needs not be made again.
struct FinishedSample {
  const SampleRecord& row;          ///< without its arrays
  const std::string& fingerprint;   ///< of the settings it was made with
  bool failed() const { return row.status != int64_t(SampleStatus::done); }
};

/// How much recover() compares with checksums. Always: all columns of all shards; and it looks whether each video is there.
enum class RecoverReads {
  what_changed,   ///< and whole shards of up to 64 MiB or newer than index.h5, and videos newer than the shard or journal that names them
  everything      ///< and all of all files
};

/// Removes what a killed run or join was writing beside `output`'s videos, by the names that it gives. No other process may write into the folder.
void remove_temporary_files(const std::filesystem::path& output);

/// Brings an output folder in order after whatever happened to its last run:
///   - temporary files are removed;
///   - a shard or journal that is broken or of none of the fingerprints is put aside (quarantine/);
///   - a sample whose video file is gone is taken out of its shard, so that it is made again; so is one whose video does
///     not fit its checksum, and that file is put aside;
///   - a second row of a sample is taken out of its shard;
///   - sound records of leftover journals are folded into shards.
/// Afterwards every finished sample stands in exactly one sealed shard and has its video. Calls `each` with every one of
/// them once, and `say` with what a user should know. Memory: some 40 bytes a sample, and the rows of one shard. It may itself
/// be killed and run again. No other process may write into the folder. `configurations`: of each fingerprint that the folder
/// may hold, the configuration (JSON text) for shards that are made of journals.
void recover(const std::filesystem::path& output, const std::map<std::string, std::string>& configurations,
             const std::function<void(const FinishedSample&)>& each, const std::function<void(const std::string&)>& say,
             RecoverReads reads = RecoverReads::what_changed);

}  // namespace pyracast
