#include "pipeline/work_plan.hpp"

#include <algorithm>
#include <utility>

#include "kernels/planning_backend.hpp"

namespace pyracast {

namespace {

/// Multiply-adds of each thing that a team is about, one after the other.
class WorkCount {
 public:
  explicit WorkCount(const PlanningBackend& backend) : backend_(backend) {}

  void begin(const std::string& doing) {
    const double work = since_last();
    const bool is_of_vae = doing_ == "decoding" || doing_ == "encoding the references";   // counted as decoding is
    double& sum = doing_.starts_with("evaluation ") ? evaluations_ : is_of_vae ? decode_ : text_;
    if (!doing_.empty()) sum += work;
    doing_ = doing;
  }
  /// A branch has been computed in one block. What is before the first block counts with its first branch there.
  void computed(Branch branch) {
    const double now = backend_.multiply_adds(), took = now - std::exchange(branch_began_, now);
    double& least = branches_[size_t(branch)];
    least = least > 0 ? std::min(least, took) : took;
  }

  double text() const { return text_; }
  double decode() const { return decode_; }
  double evaluations() const { return evaluations_; }
  const std::array<double, branch_count>& branches() const { return branches_; }   ///< of one block

 private:
  const PlanningBackend& backend_;
  std::string doing_;
  double began_ = 0, branch_began_ = 0, text_ = 0, evaluations_ = 0, decode_ = 0;
  std::array<double, branch_count> branches_{};

  double since_last() {
    const double work = backend_.multiply_adds() - began_;
    began_ += work;
    return work;
  }
};

MakingPhase phase_of(Branch branch) {
  switch (branch) {
    case Branch::spatial_attention: return MakingPhase::spatial_attention;
    case Branch::temporal_attention: return MakingPhase::temporal_attention;
    case Branch::spatial_cross: case Branch::temporal_cross: return MakingPhase::cross_attention;
    case Branch::spatial_mlp: case Branch::temporal_mlp: break;
  }
  return MakingPhase::mlp;
}

}  // namespace

WorkPlan plan_work(const VideoModel& model, WeightStorage storage, const VideoRequest& request, const BroadcastPolicy& policy,
                   const PlannedRank& of) {
  PlanningBackend backend;
  WorkCount count(backend);
  const auto listen = [&](const std::string& doing) { count.begin(doing); };
  const TeamChannels channels = planning_channels(of.rank, of.ranks, of.cfg_parallel, listen, of.overlaps);
  const auto pipeline = model.open(backend, storage, channels);
  PhiloxNoise noise{0, "", 0};
  VideoRun run{noise};
  run.broadcast = policy;
  run.read_reference = blank_reference;
  run.listener = [&](int, Site site, const Tensor&) { count.computed(site.branch); };
  const VideoResult result = pipeline->generate(request, run);
  require(result.outcome == Outcome::going_on, "such a video cannot be made: ", result.reason);
  count.begin("");

  WorkPlan plan{{}, result.latent_shape, result.embedding_shape};
  VideoWork& work = plan.work;
  const auto at = [&](MakingPhase phase) -> PhaseWork& { return work[size_t(phase)]; };
  at(MakingPhase::text) = {1, count.text()};
  at(MakingPhase::other) = {double(result.evaluations.size()), count.evaluations()};
  for (const EvaluationCost& evaluation : result.evaluations) {
    for (size_t branch = 0; branch < branch_count; ++branch) {
      PhaseWork& phase = at(phase_of(Branch(branch)));
      const double blocks = double(evaluation.computed[branch]), multiply_adds = blocks * count.branches()[branch];
      phase.calls += blocks;
      phase.work += multiply_adds;
      at(MakingPhase::other).work -= multiply_adds;
    }
    at(MakingPhase::communication).calls += double(evaluation.all_to_alls);
    at(MakingPhase::communication).work += double(evaluation.all_to_all_bytes + evaluation.gather_bytes);
  }
  at(MakingPhase::decode) = {double(request.clips), count.decode()};
  const double pixels = double(request.height) * double(request.width) * double(request.frames) * request.clips;
  for (const MakingPhase phase : {MakingPhase::rest, MakingPhase::leave, MakingPhase::encode, MakingPhase::write}) at(phase) = {1, pixels};
  return plan;
}

}  // namespace pyracast
