#pragma once
#include "diffusion/rectified_flow.hpp"
#include "diffusion/sampler.hpp"
#include "models/latte.hpp"

namespace pyracast {

/// One video's (or several videos') way from noise N(0, 1) [videos, channels, frames, height, width] to latents. `caption` holds
/// the negative prompts' halves first where guidance is above 1. `fresh_noise` is called where the sampler draws. `observe` sees
/// of each evaluation: model_output (both halves), noise_pred_guided (what the sampler is given) and latents.
template <class Network>
Tensor denoise_with_guidance(const Network& network, Run& run, Sampler& sampler, const Tensor& noise, const LatteCaption& caption, double guidance,
                             const std::function<Tensor(int evaluation)>& fresh_noise, const Observer& observe) {
  const int64_t videos = noise.dim(0), halves = guidance > 1 ? 2 : 1;
  Tensor latents = combine(sampler.initial_sigma(), noise, 0, noise);
  for (size_t i = 0; i < sampler.timesteps().size(); ++i) {
    run.begin(int(i));
    const std::vector<float> timesteps(size_t(halves * videos), sampler.timesteps()[i]);
    Tensor output = network(repeat(sampler.model_input(latents), 0, halves), timesteps, caption, run);
    observe("model_output", output);
    if (halves == 2) output = guided(slice(output, 0, videos, 2 * videos), slice(output, 0, 0, videos), float(guidance));
    if (output.dim(1) == 2 * latents.dim(1)) output = slice(output, 1, 0, latents.dim(1));   // the other half is a variance
    observe("noise_pred_guided", output);
    latents = sampler.step(output, latents, [&] { return fresh_noise(int(i)); });
    observe("latents", latents);
  }
  return latents;
}

}  // namespace pyracast
