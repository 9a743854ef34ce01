#include "diffusion/rectified_flow.hpp"

#include <gmock/gmock.h>

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::Each;

TEST(RectifiedFlow, WithoutTransformStepsAreEqual) {
  const auto schedule = rectified_flow_schedule({.steps = 4, .use_timestep_transform = false}, {48, 48, 17}, DType::float32);
  EXPECT_THAT(schedule.timesteps, ElementsAre(1000, 750, 500, 250));
  for (int i = 0; i < 4; ++i) EXPECT_FLOAT_EQ(schedule.step_size(i), 0.25f);
}

TEST(RectifiedFlow, TheTransformSpendsMoreStepsOnNoiseForLargerClips) {
  const auto small = rectified_flow_schedule({.steps = 10}, {144, 256, 51}, DType::float32);
  const auto large = rectified_flow_schedule({.steps = 10}, {720, 1280, 204}, DType::float32);
  for (size_t i = 1; i < 10; ++i) EXPECT_LT(small.timesteps[i], large.timesteps[i]);
}

TEST(RectifiedFlow, StepSizesAddUpToTheWholeWay) {
  const auto schedule = rectified_flow_schedule({.steps = 30}, {480, 854, 51}, DType::float32);
  float sum = 0;
  for (int i = 0; i < 30; ++i) sum += schedule.step_size(i);
  EXPECT_NEAR(sum, 1, 1e-4);
}

class FrameMaskTest : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend = make_cpu_backend();
  Tensor latents(float value) { return Tensor(*backend, {1, 1, 3, 1, 1}, {value, value, value}); }
};

TEST_F(FrameMaskTest, KeepsFramesOfMaskZeroAndGeneratesFramesOfMaskOne) {
  FrameMask mask({1, 0, 0.5f}, 1, 1000);
  EXPECT_THAT(mask.frames_generated(800), ElementsAre(1, 0, 0));
  EXPECT_THAT(mask.restored(latents(2), latents(1), 800).to_host(), ElementsAre(2, 1, 1));
  EXPECT_THAT(mask.restored(latents(2), latents(1), 400).to_host(), ElementsAre(2, 1, 2));
}

TEST_F(FrameMaskTest, NoisesAFrameOnceWhenTheTimestepFallsBelowItsMask) {
  FrameMask mask({1, 0, 0.5f}, 1, 1000);
  int drawn = 0;
  const auto noise = [&] { ++drawn; return latents(9); };
  EXPECT_THAT(mask.renoised(latents(1), noise, 800).to_host(), Each(1));
  EXPECT_THAT(mask.renoised(latents(1), noise, 500).to_host(), ElementsAre(1, 1, 5));
  EXPECT_THAT(mask.renoised(latents(1), noise, 400).to_host(), Each(1));
  EXPECT_EQ(drawn, 1);
}

}  // namespace
}  // namespace pyracast
