#include "plan/machine.hpp"

#include <gmock/gmock.h>

#include "base/error.hpp"

namespace pyracast {
namespace {

using ::testing::HasSubstr;

Json good() {
  return Json::parse(R"({"nodes": 2, "ranks_per_node": 4, "cores_per_rank": 3, "memory_per_node": 1000000,
    "all_to_all": {"latency": 1e-5, "bytes_per_second": 1e9}, "model": "latte-1",
    "teams": [{"ranks_per_video": 1, "seconds": {"mlp": {"per_call": 0.5, "per_work": 0.25}}, "start_up_seconds": 3},
              {"ranks_per_video": 4, "cfg_parallel": true, "seconds": {"text": {"per_call": 1, "per_work": 0}}}]})");
}

struct BadMachine {
  const char* name;
  std::function<void(Json&)> spoil;
  std::vector<std::string> says;
};
void PrintTo(const BadMachine& bad, std::ostream* out) { *out << bad.name; }

struct MachineErrors : testing::TestWithParam<BadMachine> {};

TEST_P(MachineErrors, NameTheFileAndWhatIsWrong) {
  Json json = good();
  GetParam().spoil(json);
  try {
    machine_from_json(json, "machine.json");
    FAIL() << "was read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("machine.json"));
    for (const std::string& part : GetParam().says) EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(Machines, MachineErrors, testing::Values(
    BadMachine{"NoObject", [](Json& m) { m = Json::array(); }, {"no JSON object"}},
    BadMachine{"NoRanks", [](Json& m) { m.erase("ranks_per_node"); }, {"ranks_per_node"}},
    BadMachine{"HalfARank", [](Json& m) { m["ranks_per_node"] = 1.5; }, {"ranks_per_node", "1.5"}},
    BadMachine{"NoTeams", [](Json& m) { m.erase("teams"); }, {"\"teams\" is missing"}},
    BadMachine{"NoTeamOfOne", [](Json& m) { m["teams"].erase(0); }, {"holds none of one rank"}},
    BadMachine{"NegativeSeconds", [](Json& m) { m["teams"][0]["seconds"]["mlp"]["per_call"] = -1; }, {"teams[0], seconds, mlp", "per_call", "-1"}},
    BadMachine{"TextForSeconds", [](Json& m) { m["teams"][0]["seconds"]["mlp"]["per_work"] = "2 s"; }, {"mlp", "per_work", "2 s"}},
    BadMachine{"UnknownPhase", [](Json& m) { m["teams"][0]["seconds"]["mlps"] = Json::object(); }, {"\"mlps\" is no phase", "spatial_attention"}},
    BadMachine{"NoTime", [](Json& m) { m["teams"][0]["seconds"] = Json::object(); }, {"no phase takes any time"}},
    BadMachine{"TeamThatDoesNotFill", [](Json& m) { m["teams"][1]["ranks_per_video"] = 3; }, {"teams[1]", "do not fill a node of 4"}},
    BadMachine{"TeamTwice", [](Json& m) { m["teams"].push_back(m["teams"][0]); }, {"twice"}},
    BadMachine{"NegativeMemory", [](Json& m) { m["memory_per_node"] = -5; }, {"memory_per_node", "-5"}},
    BadMachine{"HalfAnExchange", [](Json& m) { m["all_to_all"].erase("latency"); }, {"all_to_all", "latency"}}),
                         [](const auto& info) { return info.param.name; });

TEST(Machine, IsReadAsItIsWritten) {
  const Machine machine = machine_from_json(good(), "machine.json");
  EXPECT_EQ(machine.nodes, 2);
  EXPECT_EQ(machine.memory_per_node, 1000000);
  EXPECT_EQ(machine.layouts.at({1, false}).start_up, 3);
  EXPECT_EQ(machine.layouts.at({1, false}).phases[size_t(MakingPhase::mlp)].per_work, 0.25);
  EXPECT_EQ(to_json(machine_from_json(to_json(machine), "again")), to_json(machine));
}

TEST(Machine, EstimatesTeamsThatWereNotMeasuredByOneRankAndTheExchange) {
  const Machine machine = machine_from_json(good(), "machine.json");
  EXPECT_TRUE(machine.costs_of({4, true}).measured);
  const Machine::Costs estimated = machine.costs_of({2, false});
  EXPECT_FALSE(estimated.measured);
  EXPECT_EQ(estimated.costs.phases[size_t(MakingPhase::mlp)].per_call, 0.5);
  EXPECT_EQ(estimated.costs.phases[size_t(MakingPhase::communication)].of({100, 2e9}), 100 * 1e-5 + 2);
}

TEST(Machine, ListsTheLayoutsThatFillANode) {
  std::vector<std::string> names;
  for (const TeamLayout layout : layouts_of(6)) names.push_back(name_of(layout));
  EXPECT_THAT(names, testing::ElementsAre("1 rank", "2 ranks", "2 ranks in halves", "3 ranks", "6 ranks", "6 ranks in halves"));
}

}  // namespace
}  // namespace pyracast
