#include <gmock/gmock.h>

#include <csignal>
#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class Tune : public GenerateTest {
 protected:
  void SetUp() override {
    GenerateTest::SetUp();
    // Of two evaluations in the middle, each attention reuses the first one's output.
    file("hand-made.json", R"({"steps": 6, "reuse": [{"branch": "spatial_attention", "evaluations": [2, 4]},
      {"branch": "temporal_attention", "evaluations": [2, 3, 5]}, {"branch": "spatial_cross", "evaluations": [1, 2, 3, 4, 5]}]})");
    file("costs.json", R"({"costs": {"branches": {"spatial_attention": 2, "temporal_attention": 2, "spatial_cross": 1,
      "temporal_cross": 1, "spatial_mlp": 3, "temporal_mlp": 3}, "evaluation": 4}})");
  }
  std::vector<std::string> tune(int ranks, const fs::path& prompts, const std::string& output, std::vector<std::string> more = {}) const {
    if (std::find(more.begin(), more.end(), "--unconditional-half") == more.end()) more.insert(more.end(), {"--unconditional-half", "false"});
    more.insert(more.begin(), {"--steps", "6", "--block-groups", "1", "--rounds", "3"});
    std::vector<std::string> words = command(ranks, prompts, output, std::move(more));
    std::replace(words.begin(), words.end(), std::string("generate"), std::string("tune"));
    return words;
  }
  std::vector<std::string> against(std::vector<std::string> more = {}) const {
    more.insert(more.end(), {"--against", (folder / "hand-made.json").string(), "--costs", (folder / "costs.json").string()});
    return more;
  }
  fs::path three_prompts() const {
    return file("three.jsonl", R"({"prompt": "a red circle moving left", "height": 32, "width": 32}
{"prompt": "a blue star", "height": 32, "width": 32}
{"prompt": "a white square on a gray background", "height": 32, "width": 32}
)");
  }
  std::string result(const std::string& output, const std::string& name) const { return read_text(folder / output / name); }
};

TEST_F(Tune, BeatsAHandMadeScheduleAtItsCostAndAtItsError) {
  const Ended ended = run(tune(1, three_prompts(), "out", against({"--steps-candidates", "5"})));
  ASSERT_EQ(ended.code, 0) << ended.output;
  const Json ways = Json::parse(result("out", "tune.json"))["ways"];
  std::map<std::string, Json> of_cost, of_error;
  for (const Json& way : ways) {
    const bool by_cost = way["target"].get<std::string>().starts_with("cost");
    (by_cost ? of_cost : of_error)[way["way"].get<std::string>() + std::to_string(int(way["steps"]))] = way;
  }
  const Json& hand_made = of_cost.at("hand-made.json6");
  EXPECT_LT(of_cost.at("tuned6")["measured_error"], hand_made["measured_error"]);
  EXPECT_LE(of_cost.at("tuned6")["cost"], hand_made["cost"]);
  EXPECT_LT(of_error.at("tuned6")["cost"], hand_made["cost"]);
  EXPECT_LE(of_error.at("tuned6")["measured_error"], hand_made["measured_error"]);
  EXPECT_GT(of_cost.at("tuned6")["predicted_error"], 0);
  int best = 0;
  for (const Json& way : ways) best += way["best"].get<bool>();
  EXPECT_EQ(best, 2);
  EXPECT_THAT(ended.output, HasSubstr(" best"));
  EXPECT_THAT(result("out", "front.svg"), HasSubstr("tuned, 6 steps"));
}

TEST_F(Tune, RefusesASamplerThatEvaluatesMoreOftenThanItHasSteps) {
  const fs::path snapshot = folder / "snapshot";
  ASSERT_EQ(run({MAKE_TINY_SNAPSHOT, "osp-1.1", snapshot.string(), DEMO_SNAPSHOT}).code, 0);
  expect_refusal(
      tune(1, file("one.txt", "a star\n"), "out", {"--model", "osp-1.1", "--snapshot", snapshot.string(), "--sampler", "pndm", "--frames", "1"}),
      {"", {}, {"this sampler evaluates the network more often than it has steps"}});
}

TEST_F(Tune, ReusesTheUnconditionalHalfOfGuidanceWhereItPays) {
  file("half.json", R"({"steps": 6, "reuse": [{"branch": "unconditional_half", "evaluations": [2, 4, 5]}]})");
  const auto schedule_of = [&](const std::string& output, const std::string& reused, double apart) {
    file("all-outside.json", R"({"costs": {"branches": {"spatial_attention": 0, "temporal_attention": 0, "spatial_cross": 0, "temporal_cross": 0,
      "spatial_mlp": 0, "temporal_mlp": 0}, "evaluation": 1, "halves_apart": )" +
                                 std::to_string(apart) + "}}");  // no branch saves anything, a half does
    const std::vector<std::string> more{"--unconditional-half", reused, "--budget", "0.75", "--against", (folder / "half.json").string(),
                                        "--costs", (folder / "all-outside.json").string()};
    const Ended ended = run(tune(1, three_prompts(), output, more));
    EXPECT_EQ(ended.code, 0) << ended.output;
    const Json told = Json::parse(result(output, "tune.json"));
    for (const Json& way : told["ways"]) {
      if (way["way"] != "half.json") continue;
      EXPECT_DOUBLE_EQ(double(way["cost"]), 0.75 * apart);   // three halves of twelve are left out
    }
    return Json::parse(result(output, "at-cost-6-steps.json"));
  };
  const auto names_a_half = [](const Json& schedule) {
    return std::any_of(schedule["reuse"].begin(), schedule["reuse"].end(), [](const Json& entry) { return entry["branch"] == "unconditional_half"; });
  };
  EXPECT_TRUE(names_a_half(schedule_of("with", "true", 1)));
  EXPECT_FALSE(names_a_half(schedule_of("without", "false", 1)));
  EXPECT_FALSE(names_a_half(schedule_of("dear", "true", 2))) << "the halves take longer apart than leaving them out saves";
}

TEST_F(Tune, WritesASchedulesWhoseErrorGenerateRepeats) {
  ASSERT_EQ(run(tune(1, three_prompts(), "out", against())).code, 0);
  const Json schedule = Json::parse(result("out", "at-cost-of-hand-made-6-steps.json"));
  EXPECT_EQ(schedule["steps"], 6);
  const Json& told = schedule["provenance"];
  EXPECT_TRUE(told["content"]["snapshot"]["transformer"].contains("model.safetensors"));
  EXPECT_THAT(told["command"].get<std::string>(), HasSubstr("--against hand-made.json"));
  EXPECT_EQ(told["command"].get<std::string>().find(folder.string()), std::string::npos);
  const auto generated = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.end(), {"--steps", "6", "--save", "latents"});
    EXPECT_EQ(run(command(1, three_prompts(), name, more)).code, 0);
  };
  generated("whole", {});
  generated("tuned", {"--broadcast", (folder / "out" / "at-cost-of-hand-made-6-steps.json").string()});
  std::vector<std::string> compare = command(1, three_prompts(), "compared");
  compare = {PYRACAST, "compare", (folder / "whole").string(), (folder / "tuned").string(), "--output", (folder / "compared").string()};
  ASSERT_EQ(run(compare).code, 0);
  double error = 0;
  const Json samples = Json::parse(result("compared", "compare.json"))["samples"];
  for (const Json& sample : samples) error += double(sample["latents_drift"]) * double(sample["latents_drift"]) / double(samples.size());
  EXPECT_NEAR(error, told["measured_error"], 1e-6 * error);
}

TEST_F(Tune, WritesTheSameSchedulesOnAnyNumberOfRanksAndThreads) {
  ASSERT_EQ(run(tune(1, three_prompts(), "one", against({"--threads", "1"}))).code, 0);
  for (const auto& [ranks, threads] : {std::pair{2, "2"}, {4, "1"}}) {   // four: one of them has no sample
    const Ended ended = run(tune(ranks, three_prompts(), "many", against({"--threads", threads})));
    ASSERT_EQ(ended.code, 0) << ended.output;
    for (const char* name : {"at-cost-of-hand-made-6-steps.json", "at-error-of-hand-made-6-steps.json", "front.svg"})
      EXPECT_EQ(result("many", name), result("one", name)) << name << ", " << ranks << " ranks";
  }
}

TEST_F(Tune, MeasuresCostsThatTheNextRunCanTake) {
  const Ended first = run(tune(1, three_prompts(), "out", {"--samples", "1", "--budget", "0.6"}));
  ASSERT_EQ(first.code, 0) << first.output;
  const Json costs = Json::parse(result("out", "tune.json"))["costs"];
  for (const Json& seconds : costs["branches"]) EXPECT_GT(seconds, 0);
  EXPECT_GT(costs["evaluation"], 0);
  ASSERT_EQ(run(tune(1, three_prompts(), "again", {"--samples", "1", "--budget", "0.6", "--costs", (folder / "out" / "tune.json").string()})).code,
            0);
  const auto reuse = [&](const char* output) { return Json::parse(result(output, "at-cost-6-steps.json"))["reuse"]; };
  EXPECT_EQ(reuse("again"), reuse("out"));
}

TEST_F(Tune, WritesNothingWhenItIsStopped) {
  Program program(tune(0, three_prompts(), "out", {"--steps", "200"}), folder / "log");
  ASSERT_TRUE(eventually([&] { return read_text(folder / "log").find("calibrating 200 steps") != std::string::npos; }));
  program.signal(SIGINT);
  const Ended ended = program.wait();
  EXPECT_EQ(ended.code, 75) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("nothing was written"));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

class TuneRefuses : public Tune, public ::testing::WithParamInterface<Refusal> {};

TEST_P(TuneRefuses, WithOneLineThatSaysWhatToDo) {
  file("other.json", R"({"steps": 9, "reuse": []})");
  file("no-costs.json", R"({"costs": {"branches": {}, "evaluation": 1}})");
  expect_refusal(tune(2, three_prompts(), "out"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(, TuneRefuses, ::testing::Values(
    Refusal{"Broadcasting", {"--broadcast", "x.json"}, {"broadcast"}},
    Refusal{"ABudgetOfMoreThanAll", {"--budget", "1.5"}, {"budget is 1.5", "at most 1"}},
    Refusal{"NoError", {"--error", "0"}, {"error is 0", "more than 0"}},
    Refusal{"NoGroups", {"--block-groups", "0"}, {"block-groups is 0"}},
    Refusal{"NoRounds", {"--rounds", "0"}, {"rounds is 0"}},
    Refusal{"MoreSteps", {"--steps-candidates", "5,7"}, {"\"7\"", "from 2 to 6"}},
    Refusal{"StepsInWords", {"--steps-candidates", "few"}, {"\"few\"", "whole numbers"}},
    Refusal{"NoSuchOutputs", {"--stored", "both"}, {"both", "gated or ungated"}},
    Refusal{"ATableOfOtherSteps", {"--against", "FOLDER/other.json"}, {"other.json", "9 steps"}},
    Refusal{"CostsOfNothing", {"--costs", "FOLDER/no-costs.json"}, {"no-costs.json", "spatial_attention"}},
    Refusal{"TheNullModel", {"--model", "null"}, {"null"}},
    Refusal{"StandardInput", {"--prompts", "-"}, {"expected a file"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace

}  // namespace pyracast::testing
