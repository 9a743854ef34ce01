#pragma once
#include <filesystem>
#include <optional>

#include "comm/ranks.hpp"
#include "dataset/folder_lock.hpp"

namespace pyracast {

/// The folder of a dataset, created where it is not there, and locked by world rank 0 for as long as this lives: two
/// jobs must not write into it at once. The lock ends with the process, however that ends.
class OutputFolder {
 public:
  /// Waits up to 30 seconds for another job's lock (ranks of a killed job live on for a moment), then throws Error that
  /// names its host and process. All ranks call this.
  OutputFolder(const Ranks& ranks, const std::filesystem::path& folder);

 private:
  std::optional<FolderLock> lock_;   // on world rank 0
};

}  // namespace pyracast
