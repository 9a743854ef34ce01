#include "comm/team.hpp"

#include <set>

#include "mpi_test.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(TeamSizes, ThatFitDivideTheRanksOfEveryNode) {
  const auto fitting = [](std::vector<int> ranks_of_nodes) { return team_sizes_that_fit(ranks_of_nodes); };
  EXPECT_THAT(fitting({4}), ElementsAre(1, 2, 4));
  EXPECT_THAT(fitting({4, 2}), ElementsAre(1, 2));
  EXPECT_THAT(fitting({8, 12, 4}), ElementsAre(1, 2, 4));
  EXPECT_THAT(fitting({3, 2}), ElementsAre(1));
}

class Teams : public MpiTest {};

TEST_F(Teams, HoldNeighbouringRanksOfOneNode) {
  for (const int size : team_sizes_that_fit(ranks_.ranks_of_nodes())) {
    const Team team = split_into_teams(ranks_, size);
    EXPECT_EQ(team.size, size);
    EXPECT_EQ(team.count, ranks_.size() / size);
    EXPECT_EQ(team.leads(), team.rank == 0);
    if (ranks_.node_count() == 1) {
      EXPECT_EQ(team.index, ranks_.rank() / size);
      EXPECT_EQ(team.rank, ranks_.rank() % size);
    }
    const auto indices = gathered(team.index);
    EXPECT_EQ(std::set<int64_t>(indices.begin(), indices.end()).size(), size_t(team.count));
    const auto nodes = gathered(ranks_.node_index());
    for (int rank = 0; rank < ranks_.size(); ++rank)
      EXPECT_TRUE(indices[size_t(rank)] != team.index || nodes[size_t(rank)] == ranks_.node_index()) << rank;
  }
}

TEST_F(Teams, OfASizeThatDoesNotFitAreRefusedOnAllRanks) {
  for (const int size : {0, -1, ranks_.size() + 1, 1000}) {
    std::string message = "no error";
    try {
      split_into_teams(ranks_, size);
    } catch (const Error& error) {
      message = error.what();
    }
    EXPECT_THAT(message, HasSubstr(concat("ranks-per-video is ", size, ", but")));
    EXPECT_THAT(message, HasSubstr(concat("the sizes that fit are ", team_sizes_that_fit(ranks_.ranks_of_nodes()))));
  }
}

}  // namespace
}  // namespace pyracast
