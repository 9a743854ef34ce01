#pragma once
#include <filesystem>
#include <vector>

#include "comm/ranks.hpp"

namespace pyracast {

/// The folder of a dataset, created where it is not there, and locked by every rank for as long as this lives: two jobs
/// must not write into it at once, and of a job whose first rank was killed others may still write. A lock ends with its
/// process, however that ends.
class OutputFolder {
 public:
  /// Waits up to 30 seconds for another job's lock (ranks of a killed job live on for a moment), then throws Error that
  /// names its host and process; Error as well where the folder holds something and no dataset (check_free_for_dataset, with `given`). All
  /// ranks call this.
  OutputFolder(const Ranks& ranks, const std::filesystem::path& folder, const std::vector<std::filesystem::path>& given);
  ~OutputFolder();
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

 private:
  int descriptor_ = -1;
  void lock_all(const Ranks& ranks, const std::filesystem::path& folder);
  void share(const Ranks& ranks, const std::filesystem::path& folder);
};

}  // namespace pyracast
