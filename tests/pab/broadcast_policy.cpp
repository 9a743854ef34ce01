#include "pab/broadcast_policy.hpp"

#include <gmock/gmock.h>

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<Branch> of_one_block{Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp};
const std::vector<Branch> of_a_pair{Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp, Branch::temporal_attention, Branch::temporal_mlp};

std::vector<std::string> warnings(const Json& json, const std::vector<Branch>& branches) {
  const std::vector<int64_t> timesteps{900, 720, 500, 200};
  return BroadcastPolicy(json, "preset.json").warnings(timesteps, 2, branches);
}

Json pair_rule() {
  Json rule{{"mlp_broadcast", true}};
  for (const std::string kind : {"spatial", "temporal", "cross"}) {
    rule[kind + "_broadcast"] = true;
    rule[kind + "_threshold"] = {100, 800};
    rule[kind + "_range"] = 2;
  }
  rule["mlp_spatial_broadcast_config"]["720"] = {{"block", {0}}, {"skip_count", 1}};
  rule["mlp_temporal_broadcast_config"]["720"] = {{"block", {0}}, {"skip_count", 1}};
  return rule;
}

TEST(BroadcastWarnings, NameTheKeysOfBranchesThatTheNetworkLacks) {
  EXPECT_THAT(warnings(pair_rule(), of_a_pair), IsEmpty());
  EXPECT_THAT(warnings(pair_rule(), of_one_block),
              ElementsAre(AllOf(HasSubstr("preset.json: temporal_* does not fit this network"), HasSubstr("spatial_attention, spatial_cross, spatial_mlp")),
                          HasSubstr("mlp_temporal_broadcast_config does not fit")));
}

TEST(BroadcastWarnings, SayNothingOfKeysThatAreSwitchedOff) {
  Json rule = pair_rule();
  rule["temporal_broadcast"] = false;
  rule["mlp_broadcast"] = false;
  EXPECT_THAT(warnings(rule, of_one_block), IsEmpty());
}

TEST(BroadcastWarnings, NameTheBranchesOfATableThatTheNetworkLacks) {
  Json table{{"steps", 4}};
  for (const char* branch : {"temporal_attention", "spatial_cross"}) table["reuse"].push_back({{"branch", branch}, {"evaluations", {2}}});
  EXPECT_THAT(warnings(table, of_a_pair), IsEmpty());
  EXPECT_THAT(warnings(table, of_one_block), ElementsAre(HasSubstr("temporal_attention does not fit")));
}

TEST(BroadcastWarnings, NameTheKeysOfDiffusersAlike) {
  const Json json{{"spatial_attention_block_skip_range", 2}, {"spatial_attention_block_identifiers", {"^transformer_blocks"}},
                  {"temporal_attention_block_skip_range", 3}};
  EXPECT_THAT(warnings(json, of_a_pair), IsEmpty());
  EXPECT_THAT(warnings(json, of_one_block), ElementsAre(HasSubstr("temporal_* does not fit")));
}

}  // namespace
}  // namespace pyracast
