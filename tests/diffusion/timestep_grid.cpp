#include "diffusion/timestep_grid.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;

TEST(LeadingTimesteps, AreMultiplesOfTheRoundedStepFromTheLargestDown) {
  EXPECT_THAT(leading_timesteps(4), ElementsAre(750, 500, 250, 0));
  EXPECT_EQ(leading_timesteps(50).front(), 980);
  EXPECT_THAT(leading_timesteps(3), ElementsAre(666, 333, 0));
  EXPECT_THROW(leading_timesteps(0), Error);
  EXPECT_THROW(leading_timesteps(1001), Error);
}

TEST(PndmTimesteps, PassTheFirstThreeIntervalsByRungeKuttaAndTheRestOneByOne) {
  EXPECT_THAT(pndm_timesteps(5), ElementsAre(800, 700, 700, 600, 600, 500, 500, 400, 400, 300, 300, 200, 200, 0));
  const std::vector<int64_t> grid = pndm_timesteps(150);
  EXPECT_EQ(grid.size(), 159u);
  EXPECT_THAT(std::vector<int64_t>(grid.begin(), grid.begin() + 14),
              ElementsAre(894, 891, 891, 888, 888, 885, 885, 882, 882, 879, 879, 876, 876, 870));
  EXPECT_THROW(pndm_timesteps(3), Error);
}

}  // namespace
}  // namespace pyracast
