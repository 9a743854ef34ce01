#include "pipeline/open_sora_plan.hpp"

#include <numeric>

#include "pipeline/guided_denoising.hpp"
#include "pipeline/prompt_padding.hpp"
#include "plan/video_plan.hpp"

namespace pyracast {

OpenSoraPlanConditioning OpenSoraPlan::conditioning(const OpenSoraPlanText& text) const {
  if (is_v120()) {
    std::vector<int64_t> mask = text.negative_mask;
    mask.insert(mask.end(), text.mask.begin(), text.mask.end());
    return {concatenate({text.negatives, text.prompts}, 0), mask};
  }
  if (text.prompts.dim(0) > 1) return {concatenate({text.negatives, without_padding(text.prompts, text.mask, 1)}, 0), {}};
  const int64_t kept = std::accumulate(text.mask.begin(), text.mask.end(), int64_t(0));
  return {concatenate({slice(text.negatives, 1, 0, kept), slice(text.prompts, 1, 0, kept)}, 0), {}};
}

BroadcastSchedule OpenSoraPlan::schedule(const OpenSoraPlanRequest& request) const {
  const auto sampler = make_sampler(parts_.scheduler, "scheduler", request.steps);
  const std::vector<int64_t> timesteps(sampler->timesteps().begin(), sampler->timesteps().end());
  const int64_t layers = is_v120() ? std::get<OpenSoraT2v>(parts_.transformer).config().sizes.layers : std::get<Latte>(parts_.transformer).config().layers;
  return request.broadcast.schedule(timesteps, int(layers), request.steps);
}

Tensor OpenSoraPlan::denoise(const Tensor& noise, const OpenSoraPlanConditioning& conditioning, const OpenSoraPlanRequest& request,
                             const std::function<Tensor(int evaluation)>& fresh_noise, const Observer& observe) const {
  const auto sampler = make_sampler(parts_.scheduler, "scheduler", request.steps);
  const BroadcastSchedule schedule = this->schedule(request);
  if (const auto* network = std::get_if<OpenSoraT2v>(&parts_.transformer)) {
    Run run(team_, schedule, TokenPlan(schedule, {}, Axis::space), StoredOutput::ungated);   // v1.2 stores before the gate
    return denoise_with_guidance(*network, run, *sampler, noise, network->embed_caption(conditioning.text, conditioning.mask), request.guidance,
                                 fresh_noise, observe);
  }
  const Latte& network = std::get<Latte>(parts_.transformer);
  Shape latents = noise.shape();
  latents[0] *= request.guidance > 1 ? 2 : 1;
  const Shape tokens = network.token_shape(latents);
  const VideoPlan plan = plan_video(schedule, latte_branches(), {tokens[0], tokens[1], tokens[2], team_.size()}, team_.rank(),
                                    tokens[3] * int64_t(size_of(DType::float32)), Axis::time);
  Run run(team_, schedule, plan.tokens, request.broadcast.stored_output());
  return denoise_with_guidance(network, run, *sampler, noise, network.embed_caption(conditioning.text, conditioning.mask), request.guidance,
                               fresh_noise, observe);
}

Tensor OpenSoraPlan::decode(const Tensor& latents) const {
  const Tensor unscaled = combine(float(1 / parts_.scaling_factor), latents, 0, latents);
  return parts_.vae.decode(permute(unscaled, {0, 2, 3, 4, 1}), parts_.tiling);
}

}  // namespace pyracast
