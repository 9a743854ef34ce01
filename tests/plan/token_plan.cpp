#include "plan/token_plan.hpp"

#include <gtest/gtest.h>

#include <random>

#include "pab/pyramid.hpp"
#include "plan/video_plan.hpp"

namespace pyracast {
namespace {

constexpr TokenParts on_two{.batch = 2, .time = 4, .space = 6, .ranks = 2};

int64_t total(const TokenPlan& plan, const BroadcastSchedule& schedule) {
  Exchanges all;
  for (const Exchanges& one : plan.exchanges(schedule)) all += one;
  return all.count();
}

BroadcastSchedule random_schedule(std::mt19937& random, int evaluations, int blocks) {
  BroadcastSchedule schedule(evaluations, blocks);
  for (int e = 1; e < evaluations; ++e)
    for (int block = 0; block < blocks; ++block)
      for (int branch = 0; branch < branch_count; ++branch) schedule.set_reuse(e, {Branch(branch), block}, random() % 2);
  return schedule;
}

/// The fewest exchanges of all places where x and the stored outputs can be, tried one by one.
int64_t fewest(const BroadcastSchedule& schedule, const BranchOrder& order) {
  std::vector<std::pair<int, Site>> at;
  for (int e = 0; e < schedule.evaluations(); ++e)
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : order) at.push_back({e, {branch, block}});
  int64_t least = INT64_MAX;
  TokenPlan plan(schedule, order, Axis::space);
  const auto axis = [](uint64_t bits, size_t i) { return bits >> i & 1 ? Axis::time : Axis::space; };
  for (uint64_t rest = 0; rest < uint64_t(1) << at.size(); ++rest) {
    std::vector<size_t> free;   // moved by a reuse, and stored where it was or where it comes to be
    for (size_t i = 0; i < at.size(); ++i) plan.set_resting(at[i].first, at[i].second, axis(rest, i));
    for (size_t i = 0; i < at.size(); ++i) {
      plan.set_stored(at[i].first, at[i].second, axis(rest, i));
      if (schedule.reuses(at[i].first, at[i].second)) free.push_back(i);
    }
    for (uint64_t kept = 0; kept < uint64_t(1) << free.size(); ++kept) {
      for (size_t i = 0; i < free.size(); ++i) {
        const auto [e, site] = at[free[i]];
        plan.set_stored(e, site, kept >> i & 1 ? plan.stored(e - 1, site) : plan.resting(e, site));
      }
      least = std::min(least, total(plan, schedule));
    }
  }
  return least;
}

TEST(LeastExchanges, AreTheFewestOfAllPlans) {
  std::mt19937 random(7);
  for (int i = 0; i < 12; ++i) {
    const BroadcastSchedule schedule = random_schedule(random, 3, 1);
    const BranchOrder order{Branch::spatial_attention, Branch::spatial_mlp, Branch::temporal_attention};
    EXPECT_EQ(total(least_exchanges(schedule, order, on_two), schedule), fewest(schedule, order));
  }
  for (int i = 0; i < 6; ++i) {
    const BroadcastSchedule schedule = random_schedule(random, 2, 2);
    const BranchOrder order{Branch::spatial_attention, Branch::temporal_attention, Branch::temporal_cross};
    EXPECT_EQ(total(least_exchanges(schedule, order, on_two), schedule), fewest(schedule, order));
  }
}

TEST(LeastExchanges, AreNeverMoreThanThePublishedPlacements) {
  std::mt19937 random(11);
  for (int i = 0; i < 10; ++i)
    for (const BranchOrder& order : {open_sora_branches(), latte_branches()}) {
      const BroadcastSchedule schedule = random_schedule(random, 9, 4);
      const int64_t least = total(least_exchanges(schedule, order, on_two), schedule);
      for (const Axis resting : {Axis::space, Axis::time}) EXPECT_LE(least, total(TokenPlan(schedule, order, resting), schedule));
    }
}

TEST(TokenPlan, ThePublishedPlacementsExchangeThereAndBackAroundTheComputedAttentionOfTheirAxis) {
  BroadcastSchedule schedule(2, 3);
  schedule.set_reuse(1, {Branch::spatial_attention, 0}, true);
  schedule.set_reuse(1, {Branch::temporal_attention, 1}, true);
  schedule.set_reuse(1, {Branch::temporal_attention, 2}, true);
  const auto over_space = TokenPlan(schedule, open_sora_branches(), Axis::space).exchanges(schedule);
  EXPECT_EQ(over_space[0].from_space, 3);
  EXPECT_EQ(over_space[0].from_time, 3);
  EXPECT_EQ(over_space[1].count(), 2 * 2);
  const auto over_time = TokenPlan(schedule, open_sora_branches(), Axis::time).exchanges(schedule);
  EXPECT_EQ(over_time[0].count(), 2 * 3);
  EXPECT_EQ(over_time[1].count(), 2 * 1);
}

TEST(LeastExchanges, OfAScheduleThatReusesEverythingIsNothingBehindTheFirstEvaluation) {
  BroadcastSchedule schedule(4, 5);
  for (int e = 1; e < 4; ++e)
    for (int block = 0; block < 5; ++block)
      for (int branch = 0; branch < branch_count; ++branch) schedule.set_reuse(e, {Branch(branch), block}, true);
  const auto exchanges = least_exchanges(schedule, open_sora_branches(), on_two).exchanges(schedule);
  EXPECT_LE(exchanges[0].count(), 10);
  for (int e = 1; e < 4; ++e) EXPECT_EQ(exchanges[size_t(e)].count(), 0);
}

TEST(LeastExchanges, RestOverSpaceWhereOverTimeRanksWouldHaveNothingToDo) {
  const TokenParts image{.batch = 2, .time = 1, .space = 64, .ranks = 4};
  EXPECT_FALSE(may_rest_over_time(image));
  EXPECT_FALSE(may_rest_over_time({.batch = 2, .time = 1, .space = 64, .ranks = 3}));
  EXPECT_FALSE(may_rest_over_time({.batch = 1, .time = 5, .space = 64, .ranks = 4}));
  EXPECT_TRUE(may_rest_over_time({.batch = 2, .time = 5, .space = 64, .ranks = 4}));
  EXPECT_TRUE(may_rest_over_time({.batch = 2, .time = 15, .space = 64, .ranks = 8}));
  const BroadcastSchedule everything(2, 3);
  const VideoPlan plan = plan_video(everything, open_sora_branches(), image, 0, 4, Axis::space);
  for (const Branch branch : open_sora_branches()) EXPECT_EQ(plan.tokens.resting(1, {branch, 2}), Axis::space);
}

TEST(VideoPlan, SendsNothingOnATeamOfOneAndStoresAsMuchAsTheScheduleReuses) {
  BroadcastSchedule schedule(4, 2);
  for (int e : {1, 2}) schedule.set_reuse(e, {Branch::spatial_cross, 0}, true);
  schedule.set_reuse(3, {Branch::spatial_mlp, 1}, true);   // kept when spatial_cross has gone
  const VideoPlan plan = plan_video(schedule, open_sora_branches(), {1, 3, 5, 1}, 0, 8, Axis::space);
  EXPECT_EQ(plan.bytes, std::vector<int64_t>(4, 0));
  EXPECT_EQ(plan.bytes_without_broadcast, 0);
  EXPECT_EQ(plan.stored_bytes, 3 * 5 * 8);
}

TEST(TokenParts, CountWhatLeavesARankAndWhatStays) {
  const TokenParts parts{.batch = 2, .time = 3, .space = 5, .ranks = 4};
  int64_t sent = 0, held[2] = {0, 0};
  for (int rank = 0; rank < 4; ++rank) {
    sent += parts.tokens_sent(rank, Axis::space) - parts.tokens_sent(rank, Axis::time);
    for (const Axis axis : {Axis::space, Axis::time}) held[int(axis)] += parts.tokens_held(rank, axis);
  }
  EXPECT_EQ(sent, 0);   // there and back cost the team the same
  EXPECT_EQ(held[0], 30);
  EXPECT_EQ(held[1], 30);
  EXPECT_EQ(parts.tokens_sent(0, Axis::space), 6 * 1 - 1 * 1);   // 1 of 5 tokens of 6 frames, of which it keeps 1 frame
}

}  // namespace
}  // namespace pyracast
