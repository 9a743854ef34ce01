// A sampler that takes over another's state goes on with the same bits, wherever that one stopped.
#include <gtest/gtest.h>

#include "diffusion/sampler.hpp"

namespace pyracast {
namespace {

struct Named {
  const char* name;
  Json config;
};

Json noise_config(const char* name, const Json& more = Json::object()) {
  Json config{{"_class_name", name}, {"num_train_timesteps", 1000}, {"beta_start", 0.0001}, {"beta_end", 0.02}, {"beta_schedule", "linear"}};
  config.update(more);
  return config;
}

const std::vector<Named>& samplers() {
  static const std::vector<Named> all{
      {"ddim", noise_config("DDIMScheduler")}, {"ddpm", noise_config("DDPMScheduler")}, {"pndm", noise_config("PNDMScheduler")},
      {"pndm-skip", noise_config("PNDMScheduler", {{"skip_prk_steps", true}})}, {"euler", noise_config("EulerDiscreteScheduler")},
      {"ancestral", noise_config("EulerAncestralDiscreteScheduler")}, {"dpm", noise_config("DPMSolverMultistepScheduler")},
      {"dpm-third", noise_config("DPMSolverMultistepScheduler", {{"solver_order", 3}})},
      {"dpm-first", noise_config("DPMSolverMultistepScheduler", {{"solver_order", 1}})},
      {"dpm-sde", noise_config("DPMSolverMultistepScheduler", {{"algorithm_type", "sde-dpmsolver++"}})},
      {"flow", {{"_class_name", "FlowMatchEulerDiscreteScheduler"}}}};
  return all;
}

/// A network's output that depends on the latents and on the timestep.
Tensor output_for(const Sampler& sampler, const Tensor& x, size_t i) {
  return combine(0.3f, sampler.model_input(x), 0.01f * float(i + 1), x);
}

Tensor stepped(Sampler& sampler, const Tensor& x, size_t i) {
  const auto noise = [&] { return combine(0.001f * float(i * i), x, 0, x); };
  return sampler.step(output_for(sampler, x, i), x, noise);
}

struct SamplerState : testing::TestWithParam<Named> {};

TEST_P(SamplerState, IsAllThatTheStepsToComeNeed) {
  const auto backend = make_cpu_backend();
  const Tensor start(*backend, {1, 1, 1, 2, 3}, {1, -2, 0.5f, 3, -0.25f, 0.75f});
  const auto make = [] { return make_sampler(GetParam().config, "test", 12); };
  const auto whole = make();
  std::vector<std::vector<float>> latents;
  Tensor x = start;
  for (size_t i = 0; i < whole->timesteps().size(); ++i) latents.push_back((x = stepped(*whole, x, i)).to_host());
  for (size_t left = 0; left < latents.size(); ++left) {
    const auto first = make(), second = make();
    Tensor y = start;
    for (size_t i = 0; i <= left; ++i) y = stepped(*first, y, i);
    second->restore(first->state());
    for (size_t i = left + 1; i < latents.size(); ++i) {
      y = stepped(*second, y, i);
      ASSERT_EQ(y.to_host(), latents[i]) << "left behind step " << left << ", differs at " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(OfAllSamplers, SamplerState, testing::ValuesIn(samplers()), [](const auto& info) {
  std::string name = info.param.name;
  std::erase(name, '-');
  return name;
});

}  // namespace
}  // namespace pyracast
