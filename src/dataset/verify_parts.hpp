#pragma once
// The parts of verify() that look at what is derived from the shards, and at what belongs to nobody.
#include <fstream>
#include <string>
#include <vector>

#include "dataset/index_file.hpp"
#include "dataset/layout.hpp"
#include "dataset/sample_tally.hpp"
#include "dataset/verify.hpp"

namespace pyracast {

/// Holds index.h5, metadata.jsonl and run.json against the shards, while these are read for other reasons.
class DerivedFiles {
 public:
  explicit DerivedFiles(const std::filesystem::path& output);
  /// The next of sealed_shards(), by the SHA-256 of the file; `rows`: none where it cannot be read.
  void take(const std::filesystem::path& shard, const std::string& sha256, const std::vector<SampleRecord>& rows);
  /// Adds what is wrong. True where they say all that the shards hold; false, with a note, where they are behind, as they are until a run has ended.
  bool end(Verification& found);

 private:
  OutputLayout layout_;
  bool has_index_ = false;
  IndexedShards listed_;
  size_t next_ = 0;                    // of those that are listed
  size_t shards_ = 0, not_listed_ = 0;
  std::vector<Finding> findings_;      // of the index
  std::ifstream lines_;                // of metadata.jsonl
  int64_t line_ = 0, differing_ = 0, first_differing_ = 0;
  int64_t done_ = 0, failed_ = 0;

  void add(Defect defect, const std::string& path, std::string what) { findings_.push_back({defect, path, std::move(what)}); }
  void pass_missing(const std::filesystem::path& up_to);
  void compare_metadata(const std::vector<SampleRecord>& rows);
  void judge_metadata(Verification& found);
  bool run_fits(Verification& found) const;
};

/// Finds files that belong to nobody. `owned` are the hash_of_id of all videos' paths. What a killed job leaves is told in
/// a note unless the dataset is settled.
void look_for_strays(const std::filesystem::path& output, std::vector<uint64_t> owned, const Manifest& manifest,
                     const SampleTally& tally, Verification& found);

}  // namespace pyracast
