#pragma once
#include <deque>

#include "base/stopwatch.hpp"
#include "diffusion/sampler.hpp"
#include "pab/leaving_plan.hpp"
#include "pipeline/guidance_halves.hpp"

namespace pyracast {

/// The evaluations of one clip as the job sees them: each is timed and counted into the result, its latents are looked at, and
/// the team agrees whether to go on. What is sent is held against the plan. Where the run keeps progress, it is saved now and then, with
/// the outputs that are stored for reuse only where that is cheaper than to make evaluations again (LeavingPlan).
///
/// On a device that works beside its caller an evaluation is asked for while the one before is under way, so that the device always has
/// work: what it took and whether its latents are finite is looked at when the next one has been asked for. Of one that was made of latents
/// which turn out not to be finite nothing is kept.
class Denoising {
 public:
  /// All of them must outlive this. `tokens`: as this rank has them, [batch, time, space, channels], of one or all of guidance's halves.
  /// `sampler`: the one whose history is part of the progress; null: latents are all there is.
  Denoising(const TeamChannels& team, GuidanceHalves& halves, const VideoPlan& plan, const VideoRun& run, VideoProgress& progress, Shape tokens,
            Sampler* sampler = nullptr);

  /// The first evaluation to make: 0, or the one behind those that an earlier job made; then latents and sampler become theirs.
  int first(Tensor& latents);

  /// Evaluation `index`: `advance` makes latents of latents, one timestep on. False where the team stopped or one of its ranks
  /// failed; the result then says so.
  template <class Advance>
  bool operator()(int index, Tensor& latents, Advance advance) {
    begin(index, latents.backend());
    latents = advance(latents);
    return end(index, latents);
  }

 private:
  /// An evaluation that was asked for and is not looked at.
  struct UnderWay {
    int index;
    EvaluationCost cost;                    // but for its seconds
    DeviceSeconds<branch_count> branches;
    ExchangeSeconds exchanges;
    DeviceSeconds<1> gathers;
    Moment begun, ended;
    std::function<bool()> is_finite;
  };

  const TeamChannels& team_;
  GuidanceHalves& halves_;
  const VideoPlan& plan_;
  const VideoRun& run_;
  VideoProgress& progress_;
  VideoResult& result_;
  Shape tokens_;                    // of a run of this rank: of one half of guidance, or both
  Sampler* sampler_;
  LeavingPlan leaving_;
  int first_ = 0, saved_ = 0;       // evaluations made before this job, and when progress was last saved
  Stopwatch since_saved_;
  Backend* backend_ = nullptr;      // since the first evaluation
  std::deque<UnderWay> under_way_;
  int looked_at_ = 0;               // of this job's evaluations, and what they took
  double seconds_made_ = 0;
  Moment begun_;
  CommunicationLedger before_;

  void begin(int index, Backend& backend);
  bool end(int index, const Tensor& latents);
  UnderWay asked_for(int index, const Tensor& latents);
  /// Looks at evaluations until only the last `ahead` are under way. False where the latents of one are not finite: the result then says so,
  /// and none is under way.
  bool settle(size_t ahead);
  EvaluationCost cost(UnderWay& made) const;
  double seconds_an_evaluation() const { return looked_at_ ? seconds_made_ / looked_at_ : 0; }
  CommunicationLedger ledger() const;
  int64_t most_stored_bytes() const;
  Shape whole_tokens() const;
  double seconds_to_save(int index) const;
  bool is_to_be_saved(int index) const;
  bool is_to_be_saved_at_stop(int index, double lost) const;
  void foresee(int index, bool saves) const;
  bool first_rank_says(bool own) const;
  void save(int index, const Tensor& latents);
  Tensor whole_output(StoredSite stored);
  void restore_outputs(Backend& backend);
};

}  // namespace pyracast
