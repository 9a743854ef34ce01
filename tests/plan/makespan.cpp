#include "plan/makespan.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "base/error.hpp"

namespace pyracast {
namespace {

/// Piece by piece to the first team that is free.
std::vector<double> one_by_one(const std::vector<WorkGroup>& list, size_t teams) {
  std::vector<double> ends(teams);
  for (const WorkGroup& group : list)
    for (uint64_t i = 0; i < group.count; ++i) *std::min_element(ends.begin(), ends.end()) += group.seconds;
  std::sort(ends.begin(), ends.end());
  return ends;
}

TEST(Makespan, EqualsDealingOutPieceByPiece) {
  std::mt19937 random(3);
  for (int trial = 0; trial < 300; ++trial) {
    std::vector<WorkGroup> list;
    for (int group = 0; group < 1 + int(random() % 5); ++group) list.push_back({0.25 * double(1 + random() % 40), random() % 90});
    const size_t teams = 1 + random() % 7;
    const std::vector<double> expected = one_by_one(list, teams), ends = ends_of_teams(list, teams);
    ASSERT_EQ(ends.size(), teams);
    for (size_t i = 0; i < teams; ++i) EXPECT_NEAR(ends[i], expected[i], 1e-9) << "trial " << trial;
    EXPECT_EQ(makespan(list, teams), ends.back());
  }
}

TEST(Makespan, KnowsWhatEverybodyCanReckon) {
  EXPECT_EQ(makespan(std::vector<WorkGroup>{{2, 3}}, 2), 4);
  EXPECT_EQ(makespan(std::vector<WorkGroup>{{3, 1}, {1, 3}}, 2), 3);
  EXPECT_EQ(makespan({}, 4), 0);
  EXPECT_EQ(makespan(std::vector<WorkGroup>{{0, 100}, {1, 1}}, 4), 1);
  EXPECT_THROW(makespan({}, 0), Error);
}

TEST(Makespan, TakesMillionsOfPiecesAtOnce) {
  const std::vector<WorkGroup> list{{7, 3'000'000}, {1.5, 8'000'000}, {0.5, 1}};
  const double all = 7 * 3e6 + 1.5 * 8e6 + 0.5;
  const std::vector<double> ends = ends_of_teams(list, 4096);
  double sum = 0;
  for (const double end : ends) sum += end;
  EXPECT_NEAR(sum, all, 1e-6 * all);
  EXPECT_LE(ends.back() - ends.front(), 7);
}

}  // namespace
}  // namespace pyracast
