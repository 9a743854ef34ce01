#pragma once
// What `pyracast tune` measures: real denoisings of the calibration samples, each rank its own.
#include <array>
#include <functional>

#include "production/measured_sample.hpp"
#include "tune/error_model.hpp"

namespace pyracast {

/// Thrown on all ranks alike where the job was asked to stop.
struct AskedToStop {};

/// Median seconds of computing a branch in one block (index: Branch; 0 where the network has no such branch), and of what an
/// evaluation takes besides.
struct BranchCosts {
  std::array<double, branch_count> branches{};
  double evaluation = 0;
  double apart = 1;   ///< how many times longer the halves of guidance take one after the other than together

  /// Of a video with this schedule. Where it parts the halves of guidance, all evaluations take `apart` times as long, and one without
  /// the unconditional half takes half of what it would with it.
  double of(const BroadcastSchedule& schedule) const;
};

/// The samples with everything computed in all steps: what every schedule is held against. Ranks are teams of one and take
/// every size-th sample.
class CalibrationSamples {
 public:
  /// `stored`: "gated", "ungated" or empty (the family's). `stored_outputs`: where they are kept. All must outlive this. Throws AskedToStop.
  CalibrationSamples(const Ranks& ranks, const GenerateSettings& settings, const std::vector<SampleToMeasure>& samples,
                     VideoPipeline& pipeline, const std::string& stored, OutputPlace stored_outputs);

  int steps() const { return samples_.front().request.steps; }
  const VideoRequest& request() const { return samples_.front().request; }
  const VideoPipeline& pipeline() const { return pipeline_; }
  /// Blocks that compute each branch (index: Branch).
  const std::array<int64_t, branch_count>& blocks() const { return blocks_; }
  /// Whether all samples have guidance, whose unconditional half can be reused.
  bool have_guidance() const;

  /// What `search` finds, searched by rank 0 while the others wait.
  std::optional<ReuseTable> searched(const std::function<std::optional<ReuseTable>()>& search) const;

  /// Mean over samples of |latents - reference|^2 / |reference|^2.
  double error(int steps, const BroadcastPolicy& policy) const;

 private:
  friend class StepsCalibration;
  using Latents = std::vector<float>;
  using Numbers = std::vector<double>;
  const Ranks& ranks_;
  const GenerateSettings& settings_;
  const std::vector<SampleToMeasure>& samples_;
  VideoPipeline& pipeline_;
  std::string stored_;
  OutputPlace stored_outputs_;
  std::vector<size_t> own_;
  std::vector<Latents> references_;   ///< of own samples
  std::array<int64_t, branch_count> blocks_{};

  std::optional<VideoResult> run(size_t own, int steps, const BroadcastPolicy& policy, BranchListener listener = {},
                                 std::function<void(const Tensor&)> guidance_listener = {}) const;
  /// Numbers of each own sample, handed out in the samples' order on all ranks, so that sums do not depend on the ranks.
  void each(const std::function<std::optional<Numbers>(size_t own)>& of_own, const std::function<void(const Numbers&)>& see) const;
  Numbers mean(const std::function<std::optional<Numbers>(size_t own)>& of_own) const;
  BroadcastPolicy policy(const ReuseTable& table, const std::vector<SiteGroup>& groups) const;
};

/// What reuse does to videos of one number of steps. It holds the effects of all sites on its own samples' latents: 4 bytes x
/// sites x latents.
class StepsCalibration {
 public:
  /// Makes 1 + sites videos of each sample. `samples` must outlive this. Throws AskedToStop.
  StepsCalibration(const CalibrationSamples& samples, std::vector<SiteGroup> groups, int steps);

  int steps() const { return steps_; }
  const std::vector<SiteGroup>& groups() const { return groups_; }
  const ErrorModel& model() const { return model_; }
  const BranchCosts& costs() const { return costs_; }

  /// The real error of a table, and the model with what it missed as its offset: exact at this table.
  std::pair<double, ErrorModel> measured(const ReuseTable& table) const;

 private:
  using Latents = CalibrationSamples::Latents;
  using Numbers = CalibrationSamples::Numbers;
  const CalibrationSamples& samples_;
  std::vector<SiteGroup> groups_;
  int steps_;
  std::vector<std::vector<Latents>> effects_;   ///< [own samples][sites]
  BranchCosts costs_;
  ErrorModel model_;

  ErrorModel calibrate();
  std::optional<Numbers> calibrate_one(size_t own);
  size_t sites() const { return groups_.size() * size_t(steps_ - 1); }
};

}  // namespace pyracast
