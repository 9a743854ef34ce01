// Where a clip can be left, and where its progress is saved.
#include <gmock/gmock.h>

#include "pab/leaving_plan.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<int> outputs_behind_all(const LeavingPlan& plan) {
  std::vector<int> outputs;
  for (int e = 0; e < plan.evaluations(); ++e) outputs.push_back(plan.outputs_behind(e));
  return outputs;
}

constexpr Branch branches[] = {Branch::spatial_attention, Branch::temporal_cross};

/// Computed: 0, reused: 1 and 2 of one site, 2, 3 and 6 of another.
BroadcastSchedule two_sites() {
  BroadcastSchedule schedule(8, 2);
  for (const int e : {1, 2}) schedule.set_reuse(e, {Branch::spatial_attention, 0}, true);
  for (const int e : {2, 3, 6}) schedule.set_reuse(e, {Branch::temporal_cross, 1}, true);
  return schedule;
}

TEST(LeavingAVideo, NeedsNoOutputWhereNothingIsReused) {
  const LeavingPlan plan(BroadcastSchedule(5, 2), branches, 100);
  EXPECT_EQ(outputs_behind_all(plan), std::vector<int>(5, 0));
  EXPECT_THAT(plan.saved(2, false), ElementsAre(2, 4));
  EXPECT_THAT(plan.saved(5, false), ElementsAre(5));
  EXPECT_THAT(plan.saved(6, false), IsEmpty());
}

TEST(LeavingAVideo, NeedsTheOutputsThatAreStillReused) {
  const LeavingPlan plan(two_sites(), branches, 100);
  EXPECT_EQ(outputs_behind_all(plan), (std::vector<int>{1, 2, 1, 0, 0, 1, 0, 0}));
  EXPECT_EQ(plan.bytes_behind(1), 200);
  EXPECT_EQ(plan.bytes_behind(3), 0);
  std::vector<int> later;
  for (int e = 0; e < 8; ++e) later.push_back(plan.to_one_that_leaves_nothing(e));
  EXPECT_EQ(later, (std::vector<int>{3, 2, 1, 0, 0, 1, 0, 0}));
  EXPECT_THAT(plan.saved(1, false), ElementsAre(4, 5, 7, 8));
  EXPECT_THAT(plan.saved(2, false), ElementsAre(4, 7));   // due after 2: at the next one that leaves nothing
  EXPECT_THAT(plan.saved(2, true), ElementsAre(2, 4, 6, 8));
}

// The unconditional half has the evaluations 0, 1, 4, 5 and 7, and like the other one reuses an output at 4 and 7.
TEST(LeavingAVideo, NeedsTheOutputsOfAHalfOfGuidanceUpToItsNextEvaluation) {
  BroadcastSchedule schedule(8, 2);
  for (const int e : {2, 3, 6}) schedule.set_reuse_of_unconditional_half(e, true);
  for (const int e : {4, 7}) schedule.set_reuse(e, {Branch::temporal_cross, 1}, true);
  const LeavingPlan plan(schedule, branches, 100);
  EXPECT_EQ(outputs_behind_all(plan), (std::vector<int>{0, 1, 1, 2, 0, 1, 2, 0}));
}

TEST(LeavingAVideo, NeedsNoOutputOfABranchThatTheNetworkHasNot) {
  constexpr Branch one[] = {Branch::spatial_attention};
  EXPECT_EQ(outputs_behind_all(LeavingPlan(two_sites(), one, 100)), (std::vector<int>{1, 1, 0, 0, 0, 0, 0, 0}));
}

TEST(LeavingAVideo, SavesOutputsWhereThatIsCheaperThanTheEvaluationsUpToOneThatLeavesNothing) {
  const LeavingPlan plan(two_sites(), branches, 100);
  // Behind the first evaluation there are three more to go, of 10 s each.
  EXPECT_TRUE(plan.saves_due(0, 29, 10));
  EXPECT_FALSE(plan.saves_due(0, 30, 10));
  EXPECT_TRUE(plan.saves_due(2, 9, 10));
  EXPECT_FALSE(plan.saves_due(2, 11, 10));
  EXPECT_TRUE(plan.saves_due(3, 1000, 10)) << "it leaves nothing";
}

TEST(LeavingAVideo, SavesOutputsAtAStopWhereThatIsCheaperThanWhatIsLost) {
  const LeavingPlan plan(two_sites(), branches, 100);
  EXPECT_TRUE(plan.saves_at_stop(1, 4, 5));
  EXPECT_FALSE(plan.saves_at_stop(1, 5, 5));
  EXPECT_TRUE(plan.saves_at_stop(4, 5, 0)) << "it leaves nothing";
}

}  // namespace
}  // namespace pyracast
