#include "pipeline/denoising.hpp"

#include <cassert>

namespace pyracast {

Denoising::Denoising(const TeamChannels& team, Run& evaluation, const VideoPlan& plan, const VideoRun& run, VideoResult& result)
    : team_(team), evaluation_(evaluation), plan_(plan), run_(run), result_(result) {
  evaluation_.cached.listen(run.listener);
}

std::pair<int64_t, int64_t> Denoising::own_halves(int64_t halves) const {
  if (!team_.guidance || halves == 1) return {0, halves};
  return {team_.guidance->rank(), team_.guidance->rank() + 1};
}

Tensor Denoising::of_all_halves(const Tensor& own, int64_t halves) {
  if (!team_.guidance || halves == 1) return own;
  const Stopwatch exchange;
  const Tensor both = gather(*team_.guidance, own, 0, std::vector<int64_t>{own.dim(0), own.dim(0)});
  guidance_seconds_ += exchange.seconds();
  guidance_bytes_ += int64_t(own.bytes());
  return both;
}

void Denoising::begin(int index) {
  whole_ = Stopwatch();
  guidance_seconds_ = 0;
  guidance_bytes_ = 0;
  team_.set_doing(concat("evaluation ", index + 1, " of ", plan_.exchanges.size()));
  evaluation_.begin(index);
  before_ = evaluation_.parallel.ledger();
}

EvaluationCost Denoising::cost(int index) const {
  const CommunicationLedger sent = evaluation_.parallel.ledger() - before_;
  EvaluationCost cost{.branches = evaluation_.cached.seconds(), .communication = sent.seconds() + guidance_seconds_,
                      .computed = evaluation_.cached.computed(), .all_to_alls = sent.all_to_alls,
                      .all_to_all_bytes = sent.all_to_all_bytes, .gather_bytes = sent.all_gather_bytes + guidance_bytes_};
  cost.branches[size_t(Branch::spatial_attention)] -= sent.seconds_along[int(Axis::space)];
  cost.branches[size_t(Branch::temporal_attention)] -= sent.seconds_along[int(Axis::time)];
  for (size_t branch = 0; branch < branch_count; ++branch) {
    cost.branch_all_to_alls[branch] = evaluation_.sent()[branch].all_to_alls;
    cost.branch_bytes[branch] = evaluation_.sent()[branch].bytes;
  }
  assert(cost.all_to_alls == plan_.exchanges[size_t(index)].count() && cost.all_to_all_bytes == plan_.bytes[size_t(index)]);
  cost.all_to_all_bytes_avoided = plan_.bytes_without_broadcast - cost.all_to_all_bytes;
  cost.other = whole_.seconds() - cost.communication;
  for (const double seconds : cost.branches) cost.other -= seconds;
  return cost;
}

bool Denoising::end(int index, const Tensor& latents) {
  const int count = int(plan_.exchanges.size());
  result_.evaluations.push_back(cost(index));
  const std::vector<float> values = latents.to_host();
  if (run_.keeps_step_latents) result_.step_latents.insert(result_.step_latents.end(), values.begin(), values.end());
  Outcome outcome = Outcome::going_on;
  if (!all_finite(values)) {
    outcome = Outcome::failed;
    result_.reason = concat("the latents are not finite after evaluation ", index + 1, " of ", count);
  }
  result_.outcome = run_.agreed(outcome);
  assert(index + 1 < count || result_.outcome != Outcome::going_on || evaluation_.cached.most_bytes() == plan_.stored_bytes);
  return result_.outcome == Outcome::going_on;
}

}  // namespace pyracast
