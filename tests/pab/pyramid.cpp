#include "pab/pyramid.hpp"

#include <gmock/gmock.h>

#include "pab/attention_cache.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;

constexpr Site spatial{Branch::spatial_attention, 0}, mlp{Branch::spatial_mlp, 0};

std::vector<int64_t> computed_timesteps(const BroadcastSchedule& schedule, const std::vector<int64_t>& timesteps, Site site) {
  std::vector<int64_t> computed;
  for (int e = 0; e < schedule.evaluations(); ++e)
    if (!schedule.reuses(e, site)) computed.push_back(timesteps[size_t(e)]);
  return computed;
}

TEST(PyramidSchedule, ComputesEveryRangethEvaluationInsideTheOpenWindow) {
  const std::vector<int64_t> timesteps{1000, 900, 800, 700, 450, 400, 300};
  const auto schedule = pyramid_schedule({.spatial = {true, 2, 450, 930}}, timesteps, 1, 7);
  EXPECT_THAT(computed_timesteps(schedule, timesteps, spatial), ElementsAre(1000, 800, 450, 400, 300));
}

TEST(PyramidSchedule, CountsEveryEvaluationAndWrapsAtTheNumberOfSteps) {
  const std::vector<int64_t> timesteps{800, 700, 600, 500, 800, 700, 600, 500};
  const auto schedule = pyramid_schedule({.spatial = {true, 3, 0, 1000}}, timesteps, 1, 4);
  EXPECT_EQ(schedule.reuses(3, spatial), false);
  EXPECT_EQ(schedule.reuses(4, spatial), false);
  EXPECT_EQ(schedule.reuses(6, spatial), true);
}

TEST(PyramidSchedule, WithRangeOneComputesEverything) {
  const std::vector<int64_t> timesteps{900, 700, 600, 500};
  const auto schedule = pyramid_schedule({.spatial = {true, 1, 0, 1000}}, timesteps, 2, 4);
  EXPECT_THAT(computed_timesteps(schedule, timesteps, {Branch::spatial_attention, 1}), ElementsAre(900, 700, 600, 500));
}

TEST(PyramidSchedule, ReusesAnMlpForTheStepsBehindItsKey) {
  const std::vector<int64_t> timesteps{900, 864, 800, 788, 700};
  PabSettings settings{.spatial = {true, 1, 0, 1}, .mlp = true, .spatial_mlp = {{864, {0}, 1}, {788, {1}, 3}, {5, {0}, 9}}};
  const auto schedule = pyramid_schedule(settings, timesteps, 2, 5);
  EXPECT_THAT(computed_timesteps(schedule, timesteps, mlp), ElementsAre(900, 864, 788, 700));
  EXPECT_THAT(computed_timesteps(schedule, timesteps, {Branch::spatial_mlp, 1}), ElementsAre(900, 864, 800, 788));
  settings.spatial.enabled = false;   // without an attention broadcast the rule is off as a whole
  EXPECT_THAT(computed_timesteps(pyramid_schedule(settings, timesteps, 2, 5), timesteps, mlp),
              ElementsAre(900, 864, 800, 788, 700));
}

TEST(AttentionCache, GivesTheLastComputedOutputWhereTheScheduleReuses) {
  const auto backend = make_cpu_backend();
  BroadcastSchedule schedule(4, 1);
  schedule.set_reuse(1, spatial, true);
  schedule.set_reuse(2, spatial, true);
  AttentionCache cached(schedule);
  std::vector<float> seen;
  int computed = 0;
  for (int e = 0; e < 4; ++e) {
    cached.begin(e);
    Tensor out;
    if (cached.reuses(spatial)) {
      out = cached.stored(spatial);
      cached.keep(spatial);
    }
    else out = cached.computed(*backend, spatial, [&] { return Tensor(*backend, {1}, {float(++computed)}); });
    seen.push_back(out.to_host()[0]);
  }
  EXPECT_THAT(seen, ElementsAre(1, 1, 1, 2));
}

TEST(BroadcastSchedule, NeedsAnOutputOnlyWhileTheNextEvaluationReusesIt) {
  BroadcastSchedule schedule(3, 1);
  schedule.set_reuse(1, spatial, true);
  EXPECT_TRUE(schedule.needed_after(0, spatial));
  EXPECT_FALSE(schedule.needed_after(1, spatial));
  EXPECT_FALSE(schedule.needed_after(2, spatial));
}

}  // namespace
}  // namespace pyracast
