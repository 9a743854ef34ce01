#pragma once
#include "comm/team.hpp"
#include "dataset/shard_writer.hpp"
#include "dataset/time_left.hpp"
#include "dataset/work_queue.hpp"
#include "production/audit.hpp"
#include "production/decoding_beside.hpp"
#include "production/sample_progress.hpp"
#include "production/savings.hpp"
#include "production/video_requests.hpp"

namespace pyracast {

/// What the ranks of a `generate` job share besides the settings.
struct Job {
  const Ranks& ranks;
  const GenerateSettings& settings;
  const Team& team;
  const TeamChannels& channels;
  const Manifest& manifest;
  const VideoRequests& requests;
  const Audit& audit;
  const std::string& fingerprint;
  SaveInterval saves;
  OutputPlace stored_outputs = OutputPlace::device;
  int64_t attempt = 0;
  EarlierSaves& earlier_saves;
};

/// Counts the failed samples of a team that come one after the other.
class FailuresInARow {
 public:
  /// `most`: at which the job is given up; 0: at none.
  explicit FailuresInARow(int64_t most) : most_(most) {}

  void add(bool failed) { now_ = failed ? now_ + 1 : 0; }
  bool are_too_many() const { return most_ > 0 && now_ >= most_; }
  int64_t now() const { return now_; }

 private:
  int64_t most_, now_ = 0;
};

/// Where the progress of passes without reuse is kept: beside that of the videos, since both are of one sample.
std::filesystem::path progress_of_audits(const std::filesystem::path& output);

/// Makes samples one after the other, as long as there is time, and keeps them in that order. All ranks of a team ask theirs for the same ones.
class SampleMaker {
 public:
  /// Videos are decoded beside the next by a GPU, or on so many `idle_cores`; by a team that has none, at once. `shards`: of a team's first rank,
  /// else null. `failures`: counted there as well. All but `time` must outlive this.
  SampleMaker(const Job& job, VideoPipeline& pipeline, WorkQueue& queue, ShardWriter* shards, FailuresInARow& failures, TimeLeft time,
              int idle_cores);

  /// One sample of a row, whose request that is; false when the team was asked to stop, or there is no time for it. It may still be decoded when
  /// this returns.
  bool operator()(const Prompt& row, const VideoRequest& request, uint32_t number);
  /// Waits for the sample that is being decoded.
  void finish();
  /// Of all samples so far.
  const Savings& savings() const { return savings_; }

 private:
  /// One sample, and when it was begun on the system's clock.
  struct Sample {
    const Prompt& row;
    const VideoRequest& request;
    uint32_t number;
    double started;
  };

  const Job& job_;
  VideoPipeline& pipeline_;
  WorkQueue& queue_;
  ShardWriter* const shards_;
  FailuresInARow& failures_;
  TimeLeft time_;
  Savings savings_;
  std::optional<DecodingBeside> beside_;

  /// Whether the team begins a sample of that cost. All its ranks answer alike.
  bool is_time_for(double cost) const;
  bool make(const Sample& sample);
  /// A pass with the run's reuse or with none, decoded or left at its latents; stopped when the team was asked to, or its time is up.
  VideoResult make_pass(const Sample& sample, bool reuses, bool decodes);
  /// Hands a sample to the dataset; of a team's first rank.
  DecodingBeside::Keep keeper(const Sample& sample, const std::optional<AuditFinding>& finding);
};

}  // namespace pyracast
