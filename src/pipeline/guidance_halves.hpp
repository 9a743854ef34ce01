#pragma once
// Classifier-free guidance (Ho and Salimans, arXiv 2207.12598) of one clip: which runs of the network make its two halves, and how they
// become one prediction.
#include <span>
#include <vector>

#include "models/run.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// The halves of guidance at each evaluation: both in one batch, or, with guidance in parallel, on the two halves of the team. Where the
/// schedule reuses the unconditional one they are evaluated one after the other, with a run each, so that one of them can be left out.
/// All three give the same bits where both are evaluated.
class GuidanceHalves {
 public:
  /// One run of the network at an evaluation, over the halves [first, last) in the family's order.
  struct Part {
    int64_t first, last;
    Run run;
    bool unconditional = false;   ///< by itself, and in evaluations of its own
    size_t index() const { return unconditional ? 1 : 0; }
  };

  /// `halves`: 1 without guidance, else 2. `conditional`: which of them is the prompt's. `usual`: how the family keeps outputs. `team`
  /// must outlive this.
  GuidanceHalves(const TeamChannels& team, const BroadcastSchedule& schedule, const VideoPlan& plan, const VideoRun& run, StoredOutput usual,
                 int64_t halves, int64_t conditional);

  /// Parts that any evaluation has, in their order; the unconditional one is the last.
  std::span<Part> parts() { return parts_; }
  std::span<const Part> parts() const { return parts_; }
  /// Those of the evaluation that was begun.
  std::span<Part> begun() { return parts().first(schedule_.reuses_unconditional_half(evaluation_) ? 1 : parts_.size()); }
  const BroadcastSchedule& schedule() const { return schedule_; }
  /// Which of its own evaluations a part has come to, behind this one of the clip.
  int own_evaluation(const Part& part, int evaluation) const;

  /// Before each evaluation.
  void begin(int evaluation);
  /// Takes up, behind the last evaluation that an earlier job made, what difference() was there.
  void go_on_behind(int evaluation, Tensor difference);

  /// The prediction at this evaluation, [videos, …]. `predict(part)`: the network's output for the part's halves, [halves x videos, …].
  /// Shows `observe` model_output, of both halves, where they are in one batch.
  template <class Predict>
  Tensor operator()(double guidance, Predict predict, const Observer& observe = {}) {
    if (parts_.size() == 1) return of_batch(predict(parts_.front()), float(guidance), observe);
    const Tensor conditional = predict(parts_.front());
    if (schedule_.reuses_unconditional_half(evaluation_)) return with_difference(conditional, float(guidance));
    return of_halves(conditional, predict(parts_.back()), float(guidance));
  }

  /// What guidance added last, conditional - unconditional, where an evaluation to come reuses it; else empty.
  const Tensor& difference() const { return difference_; }

  /// Whether guidance's halves lie on the two halves of the team.
  bool are_on_halves_of_team() const { return team_.guidance && halves_ > 1; }
  /// What exchanging them takes and sent, since begin().
  DeviceSeconds<1>& gather_seconds() { return gather_seconds_; }
  int64_t gather_bytes() const { return gather_bytes_; }

 private:
  const TeamChannels& team_;
  BroadcastSchedule schedule_;
  int64_t halves_, conditional_;
  std::function<void(const Tensor&)> listener_;
  std::vector<Part> parts_;
  int evaluation_ = 0;
  Tensor difference_;
  DeviceSeconds<1> gather_seconds_;
  int64_t gather_bytes_ = 0;

  Tensor of_batch(const Tensor& own, float guidance, const Observer& observe);
  Tensor of_halves(const Tensor& conditional, const Tensor& unconditional, float guidance);
  Tensor with_difference(const Tensor& conditional, float guidance);
  bool is_difference_needed() const;
};

}  // namespace pyracast
