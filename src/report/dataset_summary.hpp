#pragma once
// What the files of a dataset tell about the run that made it: for `pyracast report`.
#include <array>
#include <filesystem>
#include <map>
#include <optional>

#include "base/tell_step.hpp"
#include "dataset/audit_tally.hpp"
#include "pab/broadcast_schedule.hpp"

namespace pyracast {

/// Samples that were denoised in the same number of evaluations: sums over them, by evaluation.
struct StepTotals {
  int64_t samples = 0;
  std::vector<std::array<double, step_phases.size()>> seconds;   ///< [evaluations][step_phases]
  std::vector<std::array<int64_t, branch_count>> computed;       ///< [evaluations][Branch]: blocks
  std::vector<int64_t> bytes_sent, bytes_avoided;                ///< [evaluations]: of all-to-alls, by the teams' first ranks

  /// A sample of as many evaluations as those before it, at least one.
  void add(const SampleRecord& row);

  /// Of the blocks that have the branch (all are computed in the first evaluation); nothing where none has.
  std::optional<double> computed_share(size_t evaluation, Branch branch) const;
};

/// What all-to-alls were for, over all samples, by the teams' first ranks.
struct CommunicationTotals {
  std::array<int64_t, branch_count> all_to_alls{}, bytes{};   ///< by Branch
  int64_t bytes_sent = 0, bytes_avoided = 0, gather_bytes = 0;
};

/// One run of the folder, as its samples tell it.
struct AttemptTotals {
  int64_t done = 0, failed = 0;
  double began = 0, ended = 0;   ///< of its first and last sample; seconds since 1970
};

/// One node's work. `expected_seconds`: what the mean sample of the same sizes and steps took on all nodes.
struct NodeTotals {
  std::string host;
  int64_t done = 0, failed = 0, teams = 0;
  double seconds = 0, expected_seconds = 0;
  double relative_time() const { return expected_seconds > 0 ? seconds / expected_seconds : 1; }
};

/// Failures with like reasons, and one of them.
struct FailureTotals {
  int64_t samples = 0;
  std::string id, reason;
  int64_t sample = 0;
};

/// Seconds of all finished samples, in the order of making.
struct StageSeconds {
  double text = 0, denoising = 0, decoding = 0, encoding = 0, writing = 0;
};

/// A group of videos that look nearly alike, and the first ones of it.
struct AlikeGroup {
  int64_t videos = 0;
  std::vector<std::string> files;
};

struct DatasetSummary {
  std::filesystem::path folder;
  Json configuration = Json::object(), run;        ///< resolved settings; run.json, null where no run has come to its end
  std::optional<uint64_t> asked_for;               ///< samples of the manifest, where its index is there
  uint64_t rejected = 0;                           ///< lines of the manifest that are no prompts
  int64_t done = 0, failed = 0, in_journals = 0;   ///< in_journals: of both, those that no sealed shard holds
  double video_seconds = 0;                        ///< how long the videos play
  int64_t video_bytes = 0;                         ///< of their files
  std::map<std::array<int64_t, 3>, int64_t> sizes; ///< videos by {height, width, frames}
  std::map<int64_t, int64_t> steps;                ///< videos by denoising steps
  std::vector<double> ends;                        ///< when each sample was finished, sorted; seconds since 1970
  std::map<int64_t, AttemptTotals> attempts;
  std::map<size_t, StepTotals> by_evaluations;     ///< by their number
  CommunicationTotals communication;
  int64_t attentions = 0, attentions_reused = 0;   ///< outputs of self and cross attentions of blocks
  StageSeconds stages;
  std::vector<NodeTotals> nodes;                   ///< slowest first
  std::map<std::string, FailureTotals> failures;   ///< by class
  AuditTally audit;
  int64_t flagged = 0;
  std::map<std::string, int64_t> with_flag;
  std::vector<SampleRecord> clips, flagged_clips;  ///< some, chosen by their hashes; without arrays
  int64_t alike = 0;                               ///< videos that look nearly like another one
  std::map<int64_t, AlikeGroup> alike_groups;      ///< by number
  bool alike_is_known = false;                     ///< near_duplicates.jsonl is there
  std::vector<std::string> problems;               ///< what could not be read, a line each
};

/// Reads the shards and journals of a dataset, whole or not, one after the other; what is broken is told in `problems`.
/// Memory: 8 bytes a sample, and some 100 an audited one. `clips`: how many to choose, `flagged`: the same of those with a quality flag. Throws Error
/// where the folder is no dataset.
DatasetSummary summarize_dataset(const std::filesystem::path& folder, size_t clips, size_t flagged, const TellStep& tell = {});

}  // namespace pyracast
