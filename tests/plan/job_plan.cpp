#include "plan/job_plan.hpp"

#include <gmock/gmock.h>

#include <random>

#include "base/error.hpp"

namespace pyracast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr VideoShape image{64, 64, 1, 10, 1}, clip{64, 64, 16, 10, 1};

/// 4 ranks a node. One unit of work takes a rank a second, each exchange 0.1 s.
Machine machine() {
  Machine m;
  m.ranks_per_node = 4;
  m.memory_per_node = 4000;
  m.exchange_seconds = 0.1;
  m.exchange_rate = 1e9;
  LayoutCosts alone;
  alone.phases[size_t(MakingPhase::mlp)] = {0, 1};
  m.layouts[{1, false}] = alone;
  return m;
}

/// Work that ranks share evenly, and `exchanges` of a team.
AskTeam shared(double work, double exchanges, int64_t bytes) {
  return [=](const VideoShape& shape, TeamLayout layout) {
    TeamDemand demand;
    demand.work[size_t(MakingPhase::mlp)] = {1, work * double(shape.frames) / layout.ranks};
    if (layout.ranks > 1) demand.work[size_t(MakingPhase::communication)] = {layout.cfg_parallel ? exchanges / 2 : exchanges, 0};
    demand.first_bytes = bytes / layout.ranks + 100;
    demand.other_bytes = bytes / layout.ranks;
    return demand;
  };
}

TEST(JobPlan, ABucketsBestTeamIsThatOfTryingAll) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 200; ++trial) {
    Machine m = machine();
    m.exchange_seconds = 0;
    std::map<TeamLayout, TeamDemand> demands;
    for (const TeamLayout layout : layouts_of(4)) {
      TeamDemand& demand = demands[layout];
      demand.work[size_t(MakingPhase::mlp)] = {1, double(1 + random() % 100)};
      demand.first_bytes = demand.other_bytes = int64_t(random() % 1500);
      demand.once_bytes = int64_t(random() % 500);
      demand.text_bytes = int64_t(random() % 1500);   // in turn with the videos, so that the larger counts
      demand.text_once_bytes = int64_t(random() % 500);
      if (random() % 4 == 0) demand.refusal = "no";
    }
    PlanWishes wishes;
    if (random() % 2) wishes.latency = double(random() % 100);
    const BucketPlan plan = plan_bucket({clip, {{1, 10}}}, m, wishes, [&](const VideoShape&, TeamLayout layout) { return demands.at(layout); });
    double most = 0;
    for (const auto& [layout, demand] : demands) {
      const double seconds = demand.work[size_t(MakingPhase::mlp)].work;
      const bool fits = demand.once_bytes + 4 / layout.ranks * (demand.first_bytes + (layout.ranks - 1) * demand.other_bytes) <= m.memory_per_node &&
                        demand.text_once_bytes + 4 * demand.text_bytes <= m.memory_per_node;
      if (demand.refusal.empty() && fits && (!wishes.latency || seconds <= *wishes.latency))
        most = std::max(most, 3600.0 * (4 / layout.ranks) / seconds);
    }
    EXPECT_EQ(plan.best() ? plan.best()->videos_per_hour : 0, most);
    EXPECT_EQ(plan.candidates.size(), 5u);
  }
}

TEST(JobPlan, ManyVideosAreMadeByRanksAloneAndFewByTeams) {
  const auto layout_of = [](uint64_t clips) { return plan_job({{clip, {{1, clips}}}}, machine(), 1, {}, shared(10, 4, 500)).layout; };
  EXPECT_EQ(layout_of(1000), (TeamLayout{1, false}));
  EXPECT_EQ(layout_of(1), (TeamLayout{4, true})) << "one clip on one node: all ranks, and fewer exchanges in halves";
}

TEST(JobPlan, HoldsEachRankAgainstItsGpuWhereTheyHaveOne) {
  Machine m = machine();
  m.gpus_per_rank = 1;
  m.memory_per_gpu = 1700;
  const JobPlan plan = plan_job({{clip, {{1, 1000}}}}, m, 1, {}, shared(10, 4, 3000));
  EXPECT_EQ(plan.layout.ranks, 2);
  EXPECT_THAT(plan.buckets[0].of({1, false})->obstacle, HasSubstr("the tensors of a rank take 3100 bytes, and a GPU has 1700"));
}

TEST(JobPlan, MovesStoredOutputsToTheHostsMemoryWhereTheyDoNotFitTheGpuAndAllFitThere) {
  Machine m = machine();
  m.gpus_per_rank = 1;
  m.memory_per_gpu = 1700;
  const auto plan_with = [&](int64_t host_bytes, bool may_offload = true) {
    return plan_bucket({clip, {{1, 1000}}}, m, {}, [&](const VideoShape& shape, TeamLayout layout) {
      TeamDemand demand = shared(10, 4, 3000)(shape, layout);
      demand.offloaded = {demand.first_bytes - 2000 / layout.ranks, demand.other_bytes - 2000 / layout.ranks, host_bytes};
      demand.may_offload = may_offload;
      return demand;
    });
  };
  const BucketPlan moved = plan_with(1000);
  EXPECT_EQ(moved.of({1, false})->obstacle, "");
  EXPECT_EQ(moved.of({1, false})->first_bytes, 1100);
  EXPECT_EQ(moved.of({1, false})->host_bytes, 4000) << "of four teams";
  EXPECT_EQ(moved.of({2, false})->first_bytes, 1600) << "they fit";
  EXPECT_EQ(moved.of({2, false})->host_bytes, 0);
  EXPECT_THAT(plan_with(1000, false).of({1, false})->obstacle, HasSubstr("take 3100 bytes, and a GPU has 1700: use --stored-outputs auto"));
  EXPECT_THAT(plan_with(1001).of({1, false})->obstacle,
              HasSubstr("stored outputs of 4 teams take 4004 bytes of the host's memory, and a node has 4000"));
}

TEST(JobPlan, ObeysMemoryAndLatencyAndSaysSo) {
  const AskTeam large = shared(10, 4, 3000);   // of 4 ranks alone 4 x 3100 bytes, of a team of 4 3100
  const JobPlan plan = plan_job({{clip, {{1, 1000}}}}, machine(), 1, {}, large);
  EXPECT_EQ(plan.layout.ranks, 4);
  EXPECT_THAT(plan.buckets[0].of({1, false})->obstacle, HasSubstr("4 teams take 12400 bytes, and a node has 4000"));
  const JobPlan quick = plan_job({{clip, {{1, 1000}}}}, machine(), 1, {.latency = 50}, shared(10, 4, 10));
  EXPECT_EQ(quick.layout.ranks, 4);
  EXPECT_THAT(quick.buckets[0].of({2, false})->obstacle, HasSubstr("50 s are wished for"));
  try {
    plan_job({{clip, {{1, 1000}}}}, machine(), 1, {.latency = 1}, large);
    FAIL();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("no team of this machine can make the whole manifest"));
    EXPECT_THAT(error.what(), HasSubstr("4 ranks in halves: 64 x 64, 16 frames, 10 steps: a video takes"));
  }
}

TEST(JobPlan, TeamsThatNobodyMeasuredNeedTheExchangesRate) {
  Machine m = machine();
  m.exchange_rate = 0;
  const JobPlan plan = plan_job({{clip, {{1, 1}}}}, m, 1, {}, shared(10, 4, 10));
  EXPECT_EQ(plan.layout, TeamLayout{});
  EXPECT_THAT(plan.buckets[0].of({2, false})->obstacle, HasSubstr("were not measured"));
}

TEST(JobPlan, WallTimeIsThatOfTheQueueOverTeams) {
  Machine m = machine();
  m.layouts[{1, false}].start_up = 7;
  PlanWishes alone;
  alone.ranks = 1;
  // 160 s a clip, 10 s an image: on 8 ranks 8 of 9 clips, then the ninth beside 80 images.
  const JobPlan plan = plan_job({{image, {{1, 80}}}, {clip, {{1, 9}}}}, m, 2, alone, shared(10, 0, 10));
  EXPECT_EQ(plan.videos, 89u);
  EXPECT_DOUBLE_EQ(plan.wall_seconds, 7 + 160 + 160);
  EXPECT_EQ(plan.buckets.front().bucket.shape, clip);
}

// A team's three videos: denoising 5 s, decoding 4, leaving 3. On a GPU denoising and decoding take turns, which ends at 27, and the last frames
// leave. On idle cores the second decoding waits for the first, 5 to 12, and the third for the second, 12 to 19.
TEST(JobPlan, WallTimeLeavesOutWhatGoesOnBesideTheNextVideo) {
  Machine m = machine();
  m.ranks_per_node = 1;
  MakingCosts& costs = m.layouts[{1, false}].phases;
  costs = {};
  costs[size_t(MakingPhase::mlp)] = costs[size_t(MakingPhase::decode)] = costs[size_t(MakingPhase::leave)] = {0, 1};
  VideoWork work{};
  work[size_t(MakingPhase::mlp)] = {1, 5}, work[size_t(MakingPhase::decode)] = {1, 4}, work[size_t(MakingPhase::leave)] = {1, 3};
  const auto wall = [&](Beside beside, double audited) {
    const AskTeam ask = [&](const VideoShape&, TeamLayout) { return TeamDemand{.work = work, .beside = beside, .audited = audited, .audit = work}; };
    return plan_job({{clip, {{1, 3}}}}, m, 1, {}, ask).wall_seconds;
  };
  EXPECT_DOUBLE_EQ(wall(Beside::nothing, 0), 3 * 12);
  EXPECT_DOUBLE_EQ(wall(Beside::leaving, 0), 3 * 9 + 3);
  EXPECT_DOUBLE_EQ(wall(Beside::decoding, 0), 5 + 3 * 7);
  EXPECT_DOUBLE_EQ(wall(Beside::leaving, 1), 3 * 24) << "each is made twice, and waited for";
  EXPECT_DOUBLE_EQ(wall(Beside::leaving, 0.5), 3 * (9 + 24) / 2.0 + (12 + 6 - (9 + 24) / 2.0)) << "half of them";
}

TEST(JobPlan, TheQueueIsLongestFirstWithAPromptsSamplesTogether) {
  const auto list = queue_of({{image, {{1, 5}, {20, 2}}}, {clip, {{1, 3}, {70, 1}}}},
                             [](const VideoShape& shape, int samples) { return samples * double(shape.frames); });
  std::vector<std::pair<double, uint64_t>> pieces;
  for (const WorkGroup& group : list) pieces.emplace_back(group.seconds, group.count);
  EXPECT_THAT(pieces, ElementsAre(std::pair(64 * 16.0, 1u), std::pair(6 * 16.0, 1u), std::pair(20.0, 2u), std::pair(16.0, 3u), std::pair(1.0, 5u)));
}

TEST(JobPlan, TheErrorGrowsWithTheDistanceFromWhatWasMeasured) {
  Machine m = machine();
  m.layouts[{1, false}].least_work = 100, m.layouts[{1, false}].most_work = 200;
  const auto error_of = [&](double work) {
    return plan_bucket({image, {{1, 1}}}, m, {}, shared(work, 0, 10)).of({1, false})->error;
  };
  EXPECT_EQ(error_of(100), error_of(200));
  EXPECT_GT(error_of(400), error_of(200));
  EXPECT_NEAR(error_of(1600) - error_of(400), 2 * (error_of(800) - error_of(400)), 1e-12);
  EXPECT_NEAR(error_of(50), error_of(400), 1e-12);
}

}  // namespace
}  // namespace pyracast
