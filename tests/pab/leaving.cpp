// Where a video can be left: behind evaluations after which no stored output is needed.
#include <gmock/gmock.h>

#include "pab/broadcast_schedule.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(LeavingAVideo, IsPossibleBehindEveryEvaluationWhereNothingIsReused) {
  const BroadcastSchedule schedule(5, 2);
  EXPECT_EQ(evaluations_that_leave_nothing(schedule), std::vector<bool>(5, true));
  EXPECT_THAT(evaluations_that_save(schedule, 2), ElementsAre(2, 4));
  EXPECT_THAT(evaluations_that_save(schedule, 5), ElementsAre(5));
  EXPECT_THAT(evaluations_that_save(schedule, 6), IsEmpty());
}

TEST(LeavingAVideo, IsPossibleBehindTheLastReuseOfEverySite) {
  BroadcastSchedule schedule(8, 2);   // computed: 0, reused: 1 and 2 of one site, 2 and 3 of another
  for (const int e : {1, 2}) schedule.set_reuse(e, {Branch::spatial_attention, 0}, true);
  for (const int e : {2, 3, 6}) schedule.set_reuse(e, {Branch::temporal_cross, 1}, true);
  EXPECT_EQ(evaluations_that_leave_nothing(schedule), (std::vector<bool>{false, false, false, true, true, false, true, true}));
  EXPECT_THAT(evaluations_that_save(schedule, 1), ElementsAre(4, 5, 7, 8));
  EXPECT_THAT(evaluations_that_save(schedule, 2), ElementsAre(4, 7));   // due after 2: at the next one that leaves nothing
}

}  // namespace
}  // namespace pyracast
