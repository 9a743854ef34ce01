#pragma once
// Proof that a dataset is whole, from its files alone: also of a job that died.
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/tell_step.hpp"

namespace pyracast {

/// What can be wrong with a dataset.
enum class Defect {
  manifest_damaged,    ///< work/manifest.index and its rows do not fit
  shard_damaged,       ///< HDF5 cannot read it to its end, or a checksum does not fit
  shard_foreign,       ///< of other settings than the rest
  shard_missing,       ///< index.h5 lists it
  shard_changed,       ///< its SHA-256 is not the one that index.h5 lists
  journal_damaged,     ///< a record does not fit its checksum
  sample_twice,        ///< the same (id, sample) in two rows of shards
  sample_differs,      ///< made of another prompt or seed than the manifest's row says
  video_missing,
  video_changed,       ///< its SHA-256 is not the one that the shard holds
  video_undecodable,   ///< it does not decode, or not to the frames and size that the shard holds
  index_differs,       ///< index.h5 lists the shards as they are, but shows something else
  metadata_differs,    ///< metadata.jsonl is not what the shards say
  run_unreadable,      ///< run.json
  stray,               ///< a file that belongs to no sample and no run
};

/// "video-changed".
std::string name_of(Defect defect);

struct Finding {
  Defect defect;
  std::string path;    ///< relative to the folder
  std::string what;    ///< in words
};

struct VerifyOptions {
  std::filesystem::path output;
  /// The manifest that the dataset must be whole for; empty: the one that its last run kept in work/.
  std::filesystem::path prompts;
  /// How many of the videos are hashed and decoded, the same ones each time; all of them must be there.
  double videos_percent = 100;
  int threads = 1;     ///< that hash and decode
};

struct Verification {
  static constexpr size_t most_findings = 10'000;   ///< that are kept: a broken disk may make millions
  std::string output, running;   ///< running: who writes into the folder; empty: nobody
  uint64_t asked_for = 0, done = 0, failed = 0, left = 0, not_asked_for = 0, rejected = 0;
  uint64_t shards = 0, journals = 0, in_journals = 0, videos = 0, videos_checked = 0;
  uint64_t array_bytes = 0, video_bytes = 0;        ///< read
  std::map<std::string, uint64_t> failures;         ///< by class
  std::vector<Finding> findings;                    ///< the first ones
  uint64_t further_findings = 0;                    ///< that were only counted
  std::vector<std::string> notes;                   ///< what is as it may be after a job was killed
  bool settled = false;                             ///< nothing is left to be done, and index.h5 says so

  void add(Finding finding) {
    if (findings.size() < most_findings) findings.push_back(std::move(finding));
    else ++further_findings;
  }
  /// damaged, else more_to_do, else complete_with_failures, else complete.
  ExitCode code() const;
};

/// Looks at every file and changes none. Throws Error where the folder holds no dataset, or its manifest is neither kept nor given.
Verification verify(const VerifyOptions& options, const TellStep& tell = {});

/// Moves what is damaged or belongs to nobody to quarantine/, so that the same `generate` command makes it again, and takes
/// a sample's second row out of its shard. Gives a line for each, and one where findings were only counted: those need another verify().
/// The caller holds the folder's lock.
std::vector<std::string> put_aside(const Verification& verification);

}  // namespace pyracast
