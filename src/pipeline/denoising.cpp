#include "pipeline/denoising.hpp"

#include <cassert>

namespace pyracast {

Denoising::Denoising(const TeamChannels& team, Run& evaluation, const VideoPlan& plan, const VideoRun& run, VideoProgress& progress, Sampler* sampler)
    : team_(team), evaluation_(evaluation), plan_(plan), run_(run), progress_(progress), result_(progress.result), sampler_(sampler),
      can_be_left_(evaluations_that_leave_nothing(evaluation.cached.schedule())) {
  evaluation_.cached.listen(run.listener);
}

int Denoising::first(Tensor& latents) {
  first_ = saved_ = progress_.evaluations;
  if (first_ == 0) return 0;
  Backend& backend = latents.backend();
  latents = Tensor(backend, progress_.latents.shape, progress_.latents.values);
  if (sampler_) {
    Sampler::State state{progress_.sampler_step, {}};
    for (const HostTensor& tensor : progress_.sampler_history) state.history.emplace_back(backend, tensor.shape, tensor.values);
    sampler_->restore(std::move(state));
  }
  return first_;
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
  } else if (run_.keeper && can_be_left_[size_t(index)] && run_.keeper->is_due(index + 1 - saved_, since_saved_.seconds())) {
    outcome = Outcome::saving;
  }
  const Outcome agreed = run_.agreed(outcome);
  if (run_.keeper && can_be_left_[size_t(index)] && (agreed == Outcome::saving || agreed == Outcome::stopped)) save(index, latents, values);
  result_.outcome = agreed == Outcome::saving ? Outcome::going_on : agreed;
  assert(index + 1 < count || result_.outcome != Outcome::going_on || first_ > 0 || evaluation_.cached.most_bytes() == plan_.stored_bytes);
  return result_.outcome == Outcome::going_on;
}

void Denoising::save(int index, const Tensor& latents, std::vector<float> values) {
  progress_.evaluations = saved_ = index + 1;
  progress_.latents = {latents.shape(), std::move(values)};
  progress_.sampler_history.clear();
  if (sampler_) {
    const Sampler::State state = sampler_->state();
    progress_.sampler_step = state.step;
    for (const Tensor& tensor : state.history) progress_.sampler_history.push_back({tensor.shape(), tensor.to_host()});
  }
  run_.keeper->save(progress_);
  since_saved_ = Stopwatch();
}

}  // namespace pyracast
