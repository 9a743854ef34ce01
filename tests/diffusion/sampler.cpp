#include "diffusion/sampler.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string error_of(const Json& config, const SamplerOptions& options = {}) {
  try {
    make_sampler(config, "scheduler_config.json", 20, options);
    return "no error";
  } catch (const Error& error) {
    return error.what();
  }
}

std::vector<std::string> unused(const Json& config) { return unused_sampler_keys(config, "scheduler_config.json"); }

/// A file as published: written for several classes in turn.
Json published() {
  return {{"_class_name", "PNDMScheduler"}, {"_diffusers_version", "0.30.0"}, {"beta_end", 0.012}, {"beta_schedule", "scaled_linear"},
          {"beta_start", 0.00085}, {"clip_sample", false}, {"num_train_timesteps", 1000}, {"skip_prk_steps", true}, {"steps_offset", 1},
          {"trained_betas", nullptr}, {"variance_type", nullptr}};
}

TEST(SamplerKeys, OfBookkeepingAndWhatIsOffAreNotWorthAWord) {
  EXPECT_EQ(error_of(published()), "no error");
  EXPECT_THAT(unused(published()), IsEmpty());
}

TEST(SamplerKeys, OfOtherClassesAndOfNobodyAreNamedAndHaveNoEffect) {
  Json config = published();
  config["solver_order"] = 2;                  // of DPM-Solver
  config["rescale_betas_zero_snr"] = true;     // of others that have the same table of betas
  config["made_by"] = "somebody";
  EXPECT_EQ(error_of(config), "no error");
  EXPECT_THAT(unused(config), testing::UnorderedElementsAre("solver_order", "rescale_betas_zero_snr", "made_by"));
  const auto backend = make_cpu_backend();
  const Tensor x(*backend, {1, 1, 1, 2, 2}, {1, 2, 3, 4}), output(*backend, {1, 1, 1, 2, 2}, {.5f, .25f, -1, 2});
  const auto step = [&](const Json& json) {
    return make_sampler(json, "test", 20)->step(output, x, [&] { return x; }).to_host();
  };
  EXPECT_EQ(step(config), step(published()));
}

TEST(SamplerKeys, ThatChangeTheGridOfAnotherClassDoNotChangeThisOnes) {
  Json config{{"_class_name", "EulerAncestralDiscreteScheduler"}};
  const std::vector<float> plain = make_sampler(config, "test", 20)->timesteps();
  config["use_karras_sigmas"] = true;
  config["final_sigmas_type"] = "sigma_min";
  EXPECT_EQ(make_sampler(config, "test", 20)->timesteps(), plain);
  EXPECT_THAT(unused(config), testing::UnorderedElementsAre("use_karras_sigmas", "final_sigmas_type"));
}

TEST(SamplerKeys, OfTheClassItselfWithValuesThatAreNotSupportedAreErrors) {
  const auto with = [](const char* class_name, const char* key, const Json& value) { return Json{{"_class_name", class_name}, {key, value}}; };
  EXPECT_THAT(error_of(with("DPMSolverMultistepScheduler", "thresholding", true)), AllOf(HasSubstr("thresholding"), HasSubstr("not supported")));
  EXPECT_THAT(error_of(with("DPMSolverMultistepScheduler", "use_lu_lambdas", true)), HasSubstr("use_lu_lambdas"));
  EXPECT_THAT(error_of(with("DPMSolverMultistepScheduler", "variance_type", "learned_range")), HasSubstr("variance_type"));
  EXPECT_THAT(error_of(with("EulerDiscreteScheduler", "sigma_max", 80.0)), HasSubstr("sigma_max"));
  EXPECT_THAT(error_of(with("EulerDiscreteScheduler", "timestep_type", "continuous")), HasSubstr("timestep_type"));
  EXPECT_THAT(error_of(with("DDIMScheduler", "beta_schedule", "sigmoid")), HasSubstr("beta_schedule"));
  EXPECT_THAT(error_of(with("DDIMScheduler", "trained_betas", {0.1, 0.2})), HasSubstr("trained_betas"));
  EXPECT_THAT(error_of(with("PNDMScheduler", "timestep_spacing", "random")), HasSubstr("timestep_spacing"));
  // What belongs to a thresholding that is off is written by diffusers all the same.
  EXPECT_EQ(error_of({{"_class_name", "DPMSolverMultistepScheduler"}, {"thresholding", false}, {"dynamic_thresholding_ratio", 0.995}}), "no error");
}

TEST(SamplerKeys, DoNotExcuseWhatAUserChose) {
  EXPECT_THAT(error_of(published(), {.eta = 0.5}), AllOf(HasSubstr("eta"), HasSubstr("DDIM")));
  EXPECT_THROW(with_sampler(published(), "dpm"), Error);
  EXPECT_THAT(error_of({{"_class_name", "HeunDiscreteScheduler"}}), AllOf(HasSubstr("HeunDiscreteScheduler"), HasSubstr("DDIMScheduler")));
}

}  // namespace
}  // namespace pyracast
