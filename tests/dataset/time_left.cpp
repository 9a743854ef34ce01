#include "dataset/time_left.hpp"

#include <gtest/gtest.h>

namespace pyracast {
namespace {

class TimeLeftTest : public ::testing::Test {
 protected:
  double clock = 100;
  TimeLeft of(std::optional<double> seconds) { return TimeLeft(seconds, [this] { return clock; }); }
};

TEST_F(TimeLeftTest, IsEnoughForAnythingWhereThereIsNoEnd) {
  TimeLeft time = of(std::nullopt);
  time.took(1, 1e9);
  EXPECT_TRUE(time.suffices_for(1e9));
}

TEST_F(TimeLeftTest, LetsAFirstSampleOfAnyCostBeTriedWhileThereIsTime) {
  const TimeLeft time = of(10);
  EXPECT_TRUE(time.suffices_for(1e9));
  clock += 10;
  EXPECT_FALSE(time.suffices_for(0)) << "nothing is begun at the end";
}

TEST_F(TimeLeftTest, GuessesByCostFromWhatSamplesTook) {
  TimeLeft time = of(60);
  time.took(10, 20);   // 2 s a unit
  EXPECT_DOUBLE_EQ(time.guess(5), 10);
  clock += 45;
  EXPECT_TRUE(time.suffices_for(7));
  EXPECT_FALSE(time.suffices_for(8));
}

TEST_F(TimeLeftTest, GoesByTheSlowestOfTheLastEight) {
  TimeLeft time = of(60);
  time.took(1, 9);
  for (int i = 0; i < 7; ++i) time.took(1, 2);
  EXPECT_DOUBLE_EQ(time.guess(1), 9);
  time.took(1, 2);
  EXPECT_DOUBLE_EQ(time.guess(1), 2) << "a stall long ago does not count for ever";
}

}  // namespace
}  // namespace pyracast
