#include "tune/schedule_file.hpp"

#include <gmock/gmock.h>

#include <random>

#include "pab/broadcast_policy.hpp"

namespace pyracast {
namespace {

TEST(ScheduleFile, IsReadBackAsTheSameTable) {
  std::mt19937 generator(1);
  constexpr int blocks = 5, evaluations = 7;
  auto groups = site_groups(blocks, 3);
  groups.emplace_back();   // the unconditional half of guidance
  const std::vector<int64_t> timesteps{700, 600, 500, 400, 300, 200, 100};
  for (int round = 0; round < 20; ++round) {
    ReuseTable table = all_computed(groups.size(), evaluations);
    for (auto& group : table)
      for (size_t e = 1; e < evaluations; ++e) group[e] = generator() % 2;
    const auto schedule = BroadcastPolicy(schedule_json(table, groups, blocks), "written").schedule(timesteps, blocks);
    for (int e = 0; e < evaluations; ++e) EXPECT_EQ(schedule.reuses_unconditional_half(e), table.back()[size_t(e)]) << e;
    for (size_t g = 0; g < groups.size(); ++g)
      for (const int block : groups[g].blocks)
        for (int e = 0; e < evaluations; ++e)
          EXPECT_EQ(schedule.reuses(e, {groups[g].branches.front(), block}), table[g][size_t(e)]) << g << ' ' << block << ' ' << e;
  }
}

TEST(ScheduleFile, NamesNoBlocksOfTheUnconditionalHalf) {
  const std::vector<SiteGroup> groups{{{Branch::spatial_mlp}, {0, 1}}, {}};
  ReuseTable table = all_computed(2, 4);
  table[1][1] = table[1][3] = true;
  EXPECT_EQ(schedule_json(table, groups, 2), Json::parse(R"({"steps": 4, "reuse": [{"branch": "unconditional_half", "evaluations": [1, 3]}]})"));
}

TEST(ScheduleFile, SharesEntriesAndNamesNoBlocksWhereAllAreMeant) {
  const auto groups = site_groups(4, 2);
  ReuseTable table = all_computed(groups.size(), 4);
  table[0][2] = table[1][2] = true;   // both halves of the first branch
  table[3][1] = true;                 // the second half of the next
  EXPECT_EQ(schedule_json(table, groups, 4), Json::parse(R"({"steps": 4, "reuse": [
    {"branch": "spatial_attention", "evaluations": [2]},
    {"branch": "temporal_attention", "evaluations": [1], "blocks": [2, 3]}]})"));
}

TEST(ScheduleFile, HasAProvenanceThatChangesNothing) {
  Json json = schedule_json(all_computed(6, 4), site_groups(1, 1), 1);
  const BroadcastPolicy plain(json, "plain");
  json["provenance"] = {{"command", "pyracast tune"}};
  EXPECT_EQ(BroadcastPolicy(json, "told").json(), plain.json());
}

}  // namespace
}  // namespace pyracast
