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
  if (std::string(family) == "osp-1.1") {
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
                    Published{"Latte", "latte-1", "latte-1-236.json", {512, 512, 16, 50}, 0.54},
                    Published{"OpenSoraPlan", "osp-1.1", "osp-1.1-246.json", {512, 512, 65, 150}, 0.38}),
    [](const auto& info) { return info.param.name; });

TEST(PlannedVideo, HasThePublishedTokens) {
  const PlannedVideo video = planned_video("opensora-1.2", {}, DType::bfloat16);
  EXPECT_EQ(video.time, 15);
  EXPECT_EQ(video.space, 1590);
  EXPECT_EQ(planned_video("opensora-1.2", {480, 854, 192, 30}, DType::bfloat16).time, 57);
  EXPECT_EQ(planned_video("osp-1.1", {}, DType::bfloat16).time, 17);
  EXPECT_EQ(planned_video("latte-1", {}, DType::bfloat16).space, 1024);
}

TEST(PlannedVideo, OfAnAttentionOverAllTokensSendsForTheEvaluationsThatComputeIt) {
  const PlannedVideo video = planned_video("osp-1.2", {}, DType::bfloat16);
  EXPECT_EQ(video.time * video.space, 28800);
  const std::string file = concat(TESTS_DIR, "/../configs/broadcast/osp-1.2-26.json");
  const BroadcastSchedule schedule = BroadcastPolicy(read_json(file), file).schedule(video.timesteps, video.blocks, video.steps);
  const TokenParts parts{2, video.time, video.space, 8};
  int64_t computing = 0;
  for (int e = 0; e < schedule.evaluations(); ++e) computing += !schedule.reuses(e, {Branch::spatial_attention, 0});
  const VideoPlan plan = plan_video(video, schedule, parts, 3, 2304 * 2, Placement::least);
  int64_t bytes = 0;
  for (const int64_t sent : plan.bytes) bytes += sent;
  // 8 ranks: a part of 1/8 of q, k, v and the output leaves for each of the 7 others.
  EXPECT_EQ(bytes, computing * 32 * 4 * (2 * 28800 / 8) * 2304 * 2 * 7 / 8);
  EXPECT_EQ(plan.bytes_without_broadcast, 32 * 4 * int64_t(2 * 28800 / 8) * 2304 * 2 * 7 / 8);
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
