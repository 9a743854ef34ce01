#include "pipeline/planned_video.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "diffusion/timestep_grid.hpp"

namespace pyracast {
namespace {

struct Published {
  const char* name;
  const char* family;
  const char* broadcast;
  PlannedSize size;
  double most;   ///< share of the all-to-alls without broadcasting that may be left
};

class PublishedSchedule : public testing::TestWithParam<Published> {};

int64_t all_to_alls(const TokenPlan& plan, const BroadcastSchedule& schedule) {
  Exchanges all;
  for (const Exchanges& one : plan.exchanges(schedule)) all += one;
  return all.count();
}

TEST_P(PublishedSchedule, LeavesNoMoreAllToAllsThanThis) {
  const auto& [name, family, broadcast, size, most] = GetParam();
  const std::string file = concat(TESTS_DIR, "/../configs/broadcast/", broadcast);
  PlannedVideo video = planned_video(family, size, DType::bfloat16);
  const auto share = [&] {
    const BroadcastSchedule schedule = BroadcastPolicy(read_json(file), file).schedule(video.timesteps, video.blocks, video.steps);
    const BroadcastSchedule everything(schedule.evaluations(), video.blocks);
    const TokenParts parts{2, video.time, video.space, 8};
    const int64_t published = all_to_alls(TokenPlan(schedule, video.order, video.published), schedule);
    const int64_t planned = all_to_alls(least_exchanges(schedule, video.order, parts, may_rest_over_time(parts)), schedule);
    EXPECT_LE(planned, published);
    return double(planned) / double(all_to_alls(TokenPlan(everything, video.order, video.published), everything));
  };
  if (std::string(family) == "opensora-plan-1.1") {
    // PNDM evaluates the network 159 times for 150 steps, the first twelve outside the window; counted by steps as the
    // published figures are, it is an even grid.
    EXPECT_LE(share(), 0.41);
    video.timesteps = leading_timesteps(video.steps);
  }
  EXPECT_LE(share(), most);
}

INSTANTIATE_TEST_SUITE_P(, PublishedSchedule,
    testing::Values(Published{"OpenSora51Frames", "opensora-1.2", "opensora-246.json", {480, 854, 51, 30}, 0.57},
                    Published{"OpenSora192Frames", "opensora-1.2", "opensora-246.json", {480, 854, 192, 30}, 0.60},
                    Published{"Latte", "latte-1", "latte-236.json", {512, 512, 16, 50}, 0.54},
                    Published{"OpenSoraPlan", "opensora-plan-1.1", "opensora-plan-1.1-246.json", {512, 512, 65, 150}, 0.38}),
    [](const auto& info) { return info.param.name; });

TEST(PlannedVideo, HasThePublishedTokens) {
  const PlannedVideo video = planned_video("opensora-1.2", {}, DType::bfloat16);
  EXPECT_EQ(video.time, 15);
  EXPECT_EQ(video.space, 1590);
  EXPECT_EQ(planned_video("opensora-1.2", {480, 854, 192, 30}, DType::bfloat16).time, 57);
  EXPECT_EQ(planned_video("opensora-plan-1.1", {}, DType::bfloat16).time, 17);
  EXPECT_EQ(planned_video("latte-1", {}, DType::bfloat16).space, 1024);
}

TEST(PlannedVideo, OfAnUnknownModelNamesThoseThatExist) {
  try {
    planned_video("latte-2", {}, DType::bfloat16);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("latte-1"));
  }
}

}  // namespace
}  // namespace pyracast
