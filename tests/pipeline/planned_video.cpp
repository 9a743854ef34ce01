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

struct UnderSampler {
  const char* family;
  const char* broadcast;
  const char* sampler;
  int evaluations;
  std::vector<int> computed;   ///< spatial, temporal, cross; 0: the network has no such branch
};

/// What the published rule (VideoSys' pab_mgr) decides for one attention, call by call.
std::vector<bool> reused_by_the_rule(const std::vector<int64_t>& timesteps, int steps, int range, int64_t low, int64_t high) {
  std::vector<bool> reused;
  int count = 0;
  for (const int64_t t : timesteps) {
    reused.push_back(count % range != 0 && low < t && t < high);
    count = (count + 1) % steps;
  }
  return reused;
}

class PublishedRanges : public testing::TestWithParam<UnderSampler> {};

TEST_P(PublishedRanges, ReuseOnTheSamplersOwnTimesteps) {
  const UnderSampler& expected = GetParam();
  const std::string file = concat(TESTS_DIR, "/../configs/broadcast/", expected.broadcast);
  const Json json = read_json(file);
  const PlannedVideo video = planned_video(expected.family, {.sampler = expected.sampler}, DType::float32);
  ASSERT_EQ(int(video.timesteps.size()), expected.evaluations);
  const BroadcastSchedule schedule = BroadcastPolicy(json, file).schedule(video.timesteps, video.blocks, video.steps);
  const auto check = [&](const char* kind, Branch branch, int computed) {
    EXPECT_EQ(json.contains(concat(kind, "_range")), computed > 0);
    if (computed == 0) return;
    const auto window = json.at(concat(kind, "_threshold")).get<std::vector<int64_t>>();
    const auto rule = reused_by_the_rule(video.timesteps, video.steps, json.at(concat(kind, "_range")).get<int>(), window[0], window[1]);
    int counted = 0;
    for (int e = 0; e < schedule.evaluations(); ++e) {
      for (const int block : {0, video.blocks - 1}) EXPECT_EQ(schedule.reuses(e, {branch, block}), rule[size_t(e)]) << kind << ", evaluation " << e;
      counted += !schedule.reuses(e, {branch, 0});
      // PNDM's twelve evaluations of its Runge-Kutta start lie above the window.
      EXPECT_FALSE(std::string(expected.sampler) == "pndm" && e < 12 && schedule.reuses(e, {branch, 0}));
    }
    EXPECT_EQ(counted, computed) << kind;
  };
  check("spatial", Branch::spatial_attention, expected.computed[0]);
  check("temporal", Branch::temporal_attention, expected.computed[1]);
  check("cross", Branch::spatial_cross, expected.computed[2]);
}

// Counted beforehand from the samplers' formulas and the rule.
INSTANTIATE_TEST_SUITE_P(, PublishedRanges,
    testing::Values(UnderSampler{"latte-1", "latte-1-236.json", "ddim", 50, {33, 27, 22}},
                    UnderSampler{"latte-1", "latte-1-236.json", "ddpm", 50, {33, 27, 22}},
                    UnderSampler{"latte-1", "latte-1-236.json", "pndm", 59, {42, 36, 31}},
                    UnderSampler{"latte-1", "latte-1-236.json", "euler", 50, {33, 26, 21}},
                    UnderSampler{"latte-1", "latte-1-236.json", "euler-ancestral", 50, {33, 26, 21}},
                    UnderSampler{"latte-1", "latte-1-236.json", "dpm-solver", 50, {33, 26, 21}},
                    UnderSampler{"osp-1.1", "osp-1.1-246.json", "ddim", 150, {88, 57, 46}},
                    UnderSampler{"osp-1.1", "osp-1.1-246.json", "pndm", 159, {96, 65, 55}},
                    UnderSampler{"osp-1.1", "osp-1.1-246.json", "euler", 150, {94, 67, 58}},
                    UnderSampler{"osp-1.1", "osp-1.1-246.json", "dpm-solver", 150, {94, 66, 57}},
                    UnderSampler{"osp-1.2", "osp-1.2-26.json", "euler-ancestral", 100, {63, 0, 38}},
                    UnderSampler{"osp-1.2", "osp-1.2-26.json", "dpm-solver", 100, {62, 0, 37}}),
    [](const auto& info) {
      std::string name = concat(info.param.family, info.param.sampler);
      std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
      return name;
    });

TEST(PlannedVideo, OfAFlowTakesNoOtherSampler) {
  EXPECT_THROW(planned_video("opensora-1.2", {.sampler = "ddim"}, DType::bfloat16), Error);
}

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
