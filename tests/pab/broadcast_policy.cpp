#include "pab/broadcast_policy.hpp"

#include <gmock/gmock.h>

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<Branch> of_one_block{Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp};
const std::vector<Branch> of_a_pair{Branch::spatial_attention, Branch::spatial_cross, Branch::spatial_mlp, Branch::temporal_attention,
                                    Branch::temporal_mlp};

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
  EXPECT_THAT(warnings(pair_rule(), of_one_block), ElementsAre(AllOf(HasSubstr("preset.json: temporal_* does not fit this network"),
                                                                     HasSubstr("spatial_attention, spatial_cross, spatial_mlp")),
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

TEST(BroadcastTable, ReusesTheUnconditionalHalfOfGuidance) {
  const BroadcastPolicy policy({{"steps", 6}, {"reuse", {{{"branch", "unconditional_half"}, {"evaluations", {2, 3, 5}}},
                                                         {{"branch", "spatial_mlp"}, {"evaluations", {3, 4}}, {"blocks", {1}}}}}}, "table.json");
  const std::vector<int64_t> timesteps{900, 800, 700, 600, 500, 400};
  const BroadcastSchedule schedule = policy.schedule(timesteps, 2), half = schedule.of_unconditional_half();
  std::vector<int> reused, own;
  for (int e = 0; e < 6; ++e) {
    reused.push_back(schedule.reuses_unconditional_half(e));
    own.push_back(schedule.unconditional_evaluations(e));
    EXPECT_EQ(schedule.reuses(e, {Branch::spatial_mlp, 1}), e == 3 || e == 4);
  }
  EXPECT_THAT(reused, ElementsAre(0, 0, 1, 1, 0, 1));
  EXPECT_THAT(own, ElementsAre(1, 2, 2, 2, 3, 3));
  EXPECT_TRUE(schedule.parts_halves());
  ASSERT_EQ(half.evaluations(), 3);   // 0, 1 and 4
  EXPECT_FALSE(half.parts_halves());
  for (int e = 0; e < 3; ++e) EXPECT_EQ(half.reuses(e, {Branch::spatial_mlp, 1}), e == 2);
  EXPECT_THAT(policy.warnings(timesteps, 2, of_one_block), IsEmpty());
  EXPECT_EQ(policy.refusal_of_guidance(1.5, false), "");
  EXPECT_THAT(policy.refusal_of_guidance(1, false), AllOf(HasSubstr("table.json"), HasSubstr("guidance is 1, expected more than 1")));
  EXPECT_THAT(policy.refusal_of_guidance(3, true), HasSubstr("leave cfg-parallel out, or the entry"));
  EXPECT_EQ(BroadcastPolicy().refusal_of_guidance(1, true), "");
}

TEST(BroadcastTable, RefusesAnUnconditionalHalfThatCannotBe) {
  const auto refused = [](Json entry) {
    entry["branch"] = "unconditional_half";
    try {
      BroadcastPolicy({{"steps", 6}, {"reuse", {entry}}}, "table.json");
      return std::string("accepted");
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
  EXPECT_EQ(refused({{"evaluations", {1, 5}}}), "accepted");
  EXPECT_THAT(refused({{"evaluations", {1}}, {"blocks", {0}}}), AllOf(HasSubstr("table.json"), HasSubstr("leave \"blocks\" out")));
  EXPECT_THAT(refused({{"evaluations", {0, 1}}}), AllOf(HasSubstr("unconditional_half at evaluation 0"), HasSubstr("nothing to reuse")));
  EXPECT_THAT(refused({{"evaluations", {6}}}), HasSubstr("expected 1 to 5"));
  EXPECT_THAT(refused({}), HasSubstr("evaluations"));
}

TEST(BroadcastWarnings, NameTheKeysOfDiffusersAlike) {
  const Json json{{"spatial_attention_block_skip_range", 2}, {"spatial_attention_block_identifiers", {"^transformer_blocks"}},
                  {"temporal_attention_block_skip_range", 3}};
  EXPECT_THAT(warnings(json, of_a_pair), IsEmpty());
  EXPECT_THAT(warnings(json, of_one_block), ElementsAre(HasSubstr("temporal_* does not fit")));
}

}  // namespace
}  // namespace pyracast
