#include "pipeline/guidance_halves.hpp"

#include <cassert>

#include "diffusion/rectified_flow.hpp"

namespace pyracast {

namespace {

/// Hears a run whose own evaluations are these of the clip.
BranchListener listener_of(const BranchListener& listener, std::vector<int> evaluations) {
  if (!listener) return {};
  return [listener, evaluations = std::move(evaluations)](int own, Site site, const Tensor& output) {
    listener(evaluations[size_t(own)], site, output);
  };
}

}  // namespace

GuidanceHalves::GuidanceHalves(const TeamChannels& team, const BroadcastSchedule& schedule, const VideoPlan& plan, const VideoRun& run,
                               StoredOutput usual, int64_t halves, int64_t conditional)
    : team_(team), schedule_(schedule), halves_(halves), conditional_(conditional), listener_(run.guidance_listener) {
  const StoredOutput stored = run.broadcast.stored_output(usual);
  const auto add = [&](int64_t first, int64_t last, const BroadcastSchedule& own, const TokenPlan& tokens) -> Part& {
    Part& part = parts_.emplace_back(Part{first, last, Run(team.sharing_tokens(), own, tokens, stored)});
    part.run.keep_outputs(run.stored_outputs);
    return part;
  };
  if (!schedule.parts_halves()) {
    const int64_t rank = are_on_halves_of_team() ? team.guidance->rank() : 0;
    add(rank, are_on_halves_of_team() ? rank + 1 : halves, schedule, plan.tokens).run.cached.listen(run.listener);
    return;
  }
  assert(halves == 2 && !team.guidance);   // else there is no plan
  add(conditional, conditional + 1, schedule, plan.tokens).run.cached.listen(run.listener);
  Part& unconditional = add(1 - conditional, 2 - conditional, schedule.of_unconditional_half(), plan.unconditional_tokens.value());
  unconditional.unconditional = true;
  std::vector<int> own;
  for (int e = 0; e < schedule.evaluations(); ++e)
    if (!schedule.reuses_unconditional_half(e)) own.push_back(e);
  unconditional.run.cached.listen(listener_of(run.listener, std::move(own)));
}

int GuidanceHalves::own_evaluation(const Part& part, int evaluation) const {
  return part.unconditional ? schedule_.unconditional_evaluations(evaluation) - 1 : evaluation;
}

void GuidanceHalves::begin(int evaluation) {
  evaluation_ = evaluation;
  gather_seconds_.restart();
  gather_bytes_ = 0;
  for (Part& part : parts().first(begun().size())) part.run.begin(own_evaluation(part, evaluation));
}

void GuidanceHalves::go_on_behind(int evaluation, Tensor difference) {
  for (Part& part : parts()) part.run.begin(own_evaluation(part, evaluation));
  difference_ = std::move(difference);
}

Tensor GuidanceHalves::of_batch(const Tensor& own, float guidance, const Observer& observe) {
  Tensor all = own;
  if (are_on_halves_of_team()) {
    all = gather_seconds_.timed(own.backend(), 0, [&] { return gather(*team_.guidance, own, 0, std::vector<int64_t>{own.dim(0), own.dim(0)}); });
    gather_bytes_ += int64_t(own.bytes());
  }
  observe("model_output", all);
  if (halves_ == 1) return all;
  const int64_t videos = all.dim(0) / 2, prompts = conditional_ * videos, others = (1 - conditional_) * videos;
  return of_halves(slice(all, 0, prompts, prompts + videos), slice(all, 0, others, others + videos), guidance);
}

bool GuidanceHalves::is_difference_needed() const {
  return evaluation_ + 1 < schedule_.evaluations() && schedule_.reuses_unconditional_half(evaluation_ + 1);
}

Tensor GuidanceHalves::of_halves(const Tensor& conditional, const Tensor& unconditional, float guidance) {
  if (is_difference_needed() || listener_) difference_ = combine(1, conditional, -1, unconditional);
  if (listener_) listener_(difference_);
  if (!is_difference_needed()) difference_ = {};
  return guided(conditional, unconditional, guidance);
}

Tensor GuidanceHalves::with_difference(const Tensor& conditional, float guidance) {
  Tensor out = combine(1, conditional, guidance - 1, difference_);
  if (!is_difference_needed()) difference_ = {};
  return out;
}

}  // namespace pyracast
