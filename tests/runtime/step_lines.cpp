#include "runtime/step_lines.hpp"

#include <gtest/gtest.h>

namespace pyracast {
namespace {

TEST(StepLines, TellsInALogHowFarALongStepIsAndNothingOfAShortOne) {
  ::testing::internal::CaptureStderr();   // into a file
  StepLines of_long(std::chrono::milliseconds(0)), of_short(std::chrono::hours(1));
  for (size_t done = 1; done <= 2; ++done) of_long("shards read", done, 2), of_short("shards written", done, 2);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "pyracast: 1 of 2 shards read\npyracast: 2 of 2 shards read\n");
}

TEST(StepLines, SayHowManyWereDoneWhereItIsNotKnownOfHowMany) {
  ::testing::internal::CaptureStderr();
  StepLines(std::chrono::milliseconds(0))("rows read", 7, 0);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "pyracast: 7 rows read\n");
}

}  // namespace
}  // namespace pyracast
