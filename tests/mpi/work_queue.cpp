#include "dataset/work_queue.hpp"

#include <algorithm>
#include <map>

#include "mpi_test.hpp"

namespace pyracast {
namespace {

using Sample = std::pair<uint64_t, uint32_t>;

bool none_finished(uint64_t, uint32_t) { return false; }
bool never() { return false; }

class WorkQueueOfRanks : public MpiTest {
 protected:
  /// How often each sample was claimed, counted over all teams.
  std::map<Sample, int> counted(const Manifest& manifest, const Team& team, const std::vector<Claim>& claims) const {
    std::vector<int> counts(manifest.total_samples());
    for (const Claim& claim : claims)
      for (uint32_t i = 0; i < claim.samples && team.leads(); ++i)
        ++counts.at(manifest.entry(claim.prompt).first_sample + claim.first_sample + i);
    check_mpi(MPI_Allreduce(MPI_IN_PLACE, counts.data(), int(counts.size()), MPI_INT, MPI_SUM, ranks_.world()),
              "counting");
    std::map<Sample, int> by_sample;
    for (uint64_t prompt = 0; prompt < manifest.size(); ++prompt)
      for (uint32_t sample = 0; sample < manifest.entry(prompt).samples; ++sample)
        by_sample[{prompt, sample}] = counts[manifest.entry(prompt).first_sample + sample];
    return by_sample;
  }
  static std::vector<Claim> all_of(WorkQueue& queue) {
    std::vector<Claim> claims;
    while (const auto claim = queue.next()) claims.push_back(*claim);
    return claims;
  }
};

TEST_F(WorkQueueOfRanks, GivesEachSampleToOneTeam) {
  const Manifest manifest = manifest_of(200, [](int i) { return 1 + i % 3; });
  for (const int size : team_sizes_that_fit(ranks_.ranks_of_nodes())) {
    const Team team = split_into_teams(ranks_, size);
    WorkQueue queue(ranks_, team, manifest, none_finished, never);
    const auto claims = all_of(queue);
    EXPECT_FALSE(queue.stopped());
    for (const auto& [sample, count] : counted(manifest, team, claims)) ASSERT_EQ(count, 1) << sample.first;
  }
}

TEST_F(WorkQueueOfRanks, KeepsTheSamplesOfAPromptTogether) {
  const Manifest manifest = manifest_of(50, [](int i) { return 1 + i % 5; });
  const Team team = split_into_teams(ranks_, 1);
  WorkQueue queue(ranks_, team, manifest, none_finished, never);
  for (const Claim& claim : all_of(queue)) {
    EXPECT_EQ(claim.first_sample, 0u);
    EXPECT_EQ(claim.samples, manifest.entry(claim.prompt).samples);
  }
}

TEST_F(WorkQueueOfRanks, GivesTheLongestFirst) {
  const Manifest manifest = manifest_of(100);
  const Team team = split_into_teams(ranks_, 1);
  WorkQueue queue(ranks_, team, manifest, none_finished, never);
  const auto claims = all_of(queue);
  for (size_t i = 1; i < claims.size(); ++i)
    ASSERT_GE(manifest.entry(claims[i - 1].prompt).cost, manifest.entry(claims[i].prompt).cost);
  EXPECT_TRUE(ranks_.size() > 1 || claims.size() == 100u);
}

TEST_F(WorkQueueOfRanks, LeavesOutWhatIsFinished) {
  const Manifest manifest = manifest_of(60, [](int) { return 4; });
  const auto finished = [](uint64_t prompt, uint32_t sample) { return prompt % 2 == 0 || sample == 1; };
  const Team team = split_into_teams(ranks_, 1);
  WorkQueue queue(ranks_, team, manifest, finished, never);
  for (const auto& [sample, count] : counted(manifest, team, all_of(queue)))
    ASSERT_EQ(count, finished(sample.first, sample.second) ? 0 : 1) << sample.first << " " << sample.second;
  if (ranks_.rank() == 0) {
    EXPECT_EQ(queue.progress().total, 240u);
    EXPECT_EQ(queue.progress().finished, 150u);
  }
}

TEST_F(WorkQueueOfRanks, EndsAtOnceWhereNothingIsLeft) {
  const Manifest manifest = manifest_of(3);
  const Team team = split_into_teams(ranks_, 1);
  WorkQueue queue(
      ranks_, team, manifest, [](uint64_t, uint32_t) { return true; }, never);
  EXPECT_EQ(queue.next(), std::nullopt);
  EXPECT_EQ(queue.next(), std::nullopt);
  EXPECT_FALSE(queue.stopped());
}

TEST_F(WorkQueueOfRanks, MayBeLeftBeforeItsEnd) {
  const Manifest manifest = manifest_of(40);
  const Team team = split_into_teams(ranks_, 1);
  WorkQueue queue(ranks_, team, manifest, none_finished, never);
  if (ranks_.rank() % 2 == 0) queue.next();
}

// World rank 0, in whose process claims are served, computes without a call of MPI until all others have claimed all
// that is left, and so does each other rank in turn: if a claim waited for a computing rank, this would never end.
TEST_F(WorkQueueOfRanks, IsServedWhileARankComputes) {
  if (ranks_.size() == 1) GTEST_SKIP() << "needs two ranks";
  const Manifest manifest = manifest_of(50);
  for (int computing = 0; computing < ranks_.size(); ++computing) {
    const Team team = split_into_teams(ranks_, 1);
    WorkQueue queue(ranks_, team, manifest, none_finished, never);
    const auto name = [&](const char* what, int rank) { return concat(what, " ", computing, " ", rank); };
    std::vector<Claim> claims;
    if (ranks_.rank() == computing) {
      claims.push_back(queue.next().value());
      mark(name("computes", computing));
      for (int rank = 0; rank < ranks_.size(); ++rank)
        if (rank != computing) wait_until([&] { return marked(name("has all", rank)); });
      while (const auto claim = queue.next()) claims.push_back(*claim);
      EXPECT_LE(claims.size(), 2u) << "the one at hand and the one fetched ahead";
    } else {
      wait_until([&] { return marked(name("computes", computing)); });
      claims = all_of(queue);
      mark(name("has all", ranks_.rank()));
    }
    for (const auto& [sample, count] : counted(manifest, team, claims)) ASSERT_EQ(count, 1) << sample.first;
  }
}

TEST_F(WorkQueueOfRanks, StopsAllTeamsWhenOneRankIsAsked) {
  const Manifest manifest = manifest_of(100);
  const int asked = ranks_.size() - 1;
  for (const int size : team_sizes_that_fit(ranks_.ranks_of_nodes())) {
    const Team team = split_into_teams(ranks_, size);
    int claimed = 0;
    WorkQueue queue(ranks_, team, manifest, none_finished, [&] { return ranks_.rank() == asked && claimed >= 3; });
    while (queue.next()) {
      if (++claimed < 3) continue;
      const auto name = [&](int rank) { return concat("team of ", size, ": rank ", rank, " has three"); };
      mark(name(ranks_.rank()));
      for (int rank = 0; rank < ranks_.size(); ++rank) wait_until([&] { return marked(name(rank)); });
      // The teams that were not asked compute until they hear of it.
      if (team.index != team.count - 1 && team.leads()) wait_until([&] { return queue.stopping(); });
    }
    EXPECT_TRUE(queue.stopped());
    EXPECT_EQ(claimed, 3);
    EXPECT_EQ(queue.next(), std::nullopt);
  }
}

TEST_F(WorkQueueOfRanks, GivesAllRanksOfATeamTheSame) {
  const Manifest manifest = manifest_of(60);
  const Team team = split_into_teams(ranks_, ranks_.node().size());
  WorkQueue queue(ranks_, team, manifest, none_finished, never);
  std::vector<int64_t> prompts;
  for (const Claim& claim : all_of(queue)) prompts.push_back(int64_t(claim.prompt));
  std::vector<int64_t> of_leader = prompts;
  of_leader.resize(60);
  check_mpi(MPI_Bcast(of_leader.data(), 60, MPI_INT64_T, 0, team.comm), "comparing");
  of_leader.resize(prompts.size());
  EXPECT_EQ(prompts, of_leader);
}

TEST_F(WorkQueueOfRanks, AddsUpWhatTheTeamsReport) {
  const Manifest manifest = manifest_of(30);
  const Team team = split_into_teams(ranks_, 1);
  WorkQueue queue(ranks_, team, manifest, none_finished, never);
  while (const auto claim = queue.next()) queue.report(claim->prompt % 10 != 0, claim->prompt % 10 == 0);
  if (ranks_.rank() == 0) {
    wait_until([&] { return queue.progress().done + queue.progress().failed == 30; });
    EXPECT_EQ(queue.progress().failed, 3u);
  }
}

}  // namespace
}  // namespace pyracast
