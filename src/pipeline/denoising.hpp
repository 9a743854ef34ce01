#pragma once
#include <utility>

#include "diffusion/sampler.hpp"
#include "models/run.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// The evaluations of one clip as the job sees them: each is timed and counted into the result, its latents are looked at, and
/// the team agrees whether to go on. What is sent is held against the plan. Where the run keeps progress, it is saved now and then.
class Denoising {
 public:
  /// All of them must outlive this. `sampler`: the one whose history is part of the progress; null: latents are all there is.
  Denoising(const TeamChannels& team, Run& evaluation, const VideoPlan& plan, const VideoRun& run, VideoProgress& progress, Sampler* sampler = nullptr);

  /// The first evaluation to make: 0, or the one behind those that an earlier job made; then latents and sampler become theirs.
  int first(Tensor& latents);

  /// Evaluation `index`: `advance` makes latents of latents, one timestep on. False where the team stopped or one of its ranks
  /// failed; the result then says so.
  template <class Advance>
  bool operator()(int index, Tensor& latents, Advance advance) {
    begin(index);
    latents = advance(latents);
    return end(index, latents);
  }

  /// Which of guidance's `halves` this rank computes, as rows [first, last) of a batch that holds both: all of them unless
  /// they are computed by the two halves of the team.
  std::pair<int64_t, int64_t> own_halves(int64_t halves) const;
  /// The network's output for both halves [halves, …], of which this rank has its own.
  Tensor of_all_halves(const Tensor& own, int64_t halves);

 private:
  const TeamChannels& team_;
  Run& evaluation_;
  const VideoPlan& plan_;
  const VideoRun& run_;
  VideoProgress& progress_;
  VideoResult& result_;
  Sampler* sampler_;
  std::vector<bool> can_be_left_;   // behind each evaluation
  int first_ = 0, saved_ = 0;       // evaluations made before this job, and when progress was last saved
  Stopwatch since_saved_;
  Stopwatch whole_;
  CommunicationLedger before_;
  double guidance_seconds_ = 0;
  int64_t guidance_bytes_ = 0;

  void begin(int index);
  bool end(int index, const Tensor& latents);
  void save(int index, const Tensor& latents, std::vector<float> values);
  EvaluationCost cost(int index) const;
};

}  // namespace pyracast
