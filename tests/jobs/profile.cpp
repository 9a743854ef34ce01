#include <gmock/gmock.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class Profile : public GenerateTest {
 protected:
  std::vector<std::string> profile(int ranks, const fs::path& prompts, const std::string& output,
                                   std::vector<std::string> more = {}) const {
    std::vector<std::string> words = command(ranks, prompts, output, std::move(more));
    std::replace(words.begin(), words.end(), std::string("generate"), std::string("profile"));
    return words;
  }
  fs::path three_prompts() const {
    return file("three.txt", "a red circle moving left\na blue star\na white square on a gray background\n");
  }
  std::string result(const std::string& output, const std::string& name) const { return read_text(folder / output / name); }
};

TEST_F(Profile, WritesTableSummaryAndPicture) {
  const Ended ended = run(profile(1, three_prompts(), "out"));
  ASSERT_EQ(ended.code, 0) << ended.output;
  const Json json = Json::parse(result("out", "profile.json"));
  EXPECT_EQ(json["samples"], 3);
  EXPECT_EQ(json["timesteps"].size(), 4u);
  EXPECT_EQ(json["settings"]["outputs"], "ungated");
  EXPECT_EQ(json["settings"]["steps"], 4);
  EXPECT_TRUE(json["snapshot"]["transformer"].contains("model.safetensors"));
  ASSERT_EQ(json["summary"].size(), 6u);
  for (const Json& branch : json["summary"]) EXPECT_GT(branch["relative"]["middle"], 0) << branch;
  const size_t blocks = 4, rows = 6 * (blocks + 1) * 3;
  ASSERT_EQ(json["changes"].size(), rows);
  for (const Json& row : json["changes"]) EXPECT_TRUE(row["mse"] > 0 && row["mse_sd"] > 0 && row["relative"] > 0) << row;
  const std::string csv = result("out", "profile.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), long(rows) + 1);
  for (const char* branch : {"spatial attention", "temporal mlp"}) {
    EXPECT_THAT(ended.output, HasSubstr(branch));
    EXPECT_THAT(result("out", "profile.svg"), HasSubstr(branch));
  }
}

TEST_F(Profile, GivesTheSameBytesOnAnyNumberOfRanksAndThreads) {
  ASSERT_EQ(run(profile(1, three_prompts(), "one", {"--threads", "1"})).code, 0);
  for (const auto& [ranks, threads] : {std::pair{2, "2"}, {4, "1"}}) {   // four: one of them has no sample
    const Ended ended = run(profile(ranks, three_prompts(), "many", {"--threads", threads}));
    ASSERT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(result("many", "profile.csv"), result("one", "profile.csv")) << ranks << " ranks";
    EXPECT_EQ(result("many", "profile.svg"), result("one", "profile.svg")) << ranks << " ranks";
    EXPECT_EQ(Json::parse(result("many", "profile.json"))["summary"], Json::parse(result("one", "profile.json"))["summary"]);
  }
}

TEST_F(Profile, AveragesWhatItsSamplesGiveAlone) {
  const char* const lines[] = {R"({"id": "a", "prompt": "a red circle"})", R"({"id": "b", "prompt": "a blue star"})"};
  const auto mean_of = [&](const std::string& output, const std::string& text) {
    EXPECT_EQ(run(profile(1, file(output + ".jsonl", text), output)).code, 0);
    return Json::parse(result(output, "profile.json"))["changes"];
  };
  const Json a = mean_of("a", lines[0]), b = mean_of("b", lines[1]);
  const Json both = mean_of("both", std::string(lines[0]) + "\n" + lines[1]);
  ASSERT_EQ(both.size(), a.size());
  for (size_t i = 0; i < both.size(); ++i)
    for (const char* what : {"mse", "relative"}) {
      const double x = a[i][what], y = b[i][what], mean = both[i][what], spread = both[i][std::string(what) + "_sd"];
      EXPECT_NEAR(mean, (x + y) / 2, 1e-12 * mean);
      EXPECT_NEAR(spread, std::abs(x - y) / std::sqrt(2.0), 1e-9 * mean);
      EXPECT_TRUE(a[i][std::string(what) + "_sd"].is_null());
    }
}

TEST_F(Profile, TakesTheFirstSamplesOnRequest) {
  const auto prompts = file("prompts.jsonl", R"({"id": "a", "prompt": "a red circle", "samples": 2}
{"id": "b", "prompt": "a blue star"}
)");
  for (const auto& [wanted, taken] : {std::pair{"0", 3}, {"1", 1}, {"2", 2}, {"9", 3}}) {
    const Ended ended = run(profile(1, prompts, "out", {"--samples", wanted}));
    ASSERT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(Json::parse(result("out", "profile.json"))["samples"], taken) << wanted;
  }
}

TEST_F(Profile, ComparesGatedOutputsOnRequest) {
  ASSERT_EQ(run(profile(1, three_prompts(), "ungated", {"--outputs", "ungated"})).code, 0);
  ASSERT_EQ(run(profile(1, three_prompts(), "gated", {"--outputs", "gated"})).code, 0);
  const Json ungated = Json::parse(result("ungated", "profile.json"))["changes"];
  const Json gated = Json::parse(result("gated", "profile.json"))["changes"];
  for (size_t i = 0; i < gated.size(); ++i) {
    const bool has_no_gate = gated[i]["branch"].get<std::string>().ends_with("cross");
    EXPECT_EQ(gated[i]["mse"] == ungated[i]["mse"], has_no_gate) << gated[i];
  }
}

TEST_F(Profile, WritesNothingWhenItIsStopped) {
  Program program(profile(0, three_prompts(), "out", {"--steps", "3000"}), folder / "log");
  ASSERT_TRUE(eventually([&] { return read_text(folder / "log").find("sample 1 of 3") != std::string::npos; }));
  program.signal(SIGINT);
  const Ended ended = program.wait();
  EXPECT_EQ(ended.code, 75) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("nothing was written"));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

TEST_F(Profile, NamesThePackageBeforeItComputesWhereGnuplotIsMissing) {
  std::vector<std::string> words{"env", "PATH=/nowhere", "OMPI_MCA_plm_rsh_agent=/bin/true"};   // Open MPI looks for ssh
  for (const std::string& word : profile(0, three_prompts(), "out")) words.push_back(word);
  const Ended ended = run(words);
  EXPECT_EQ(ended.code, 69) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("gnuplot-nox"));
  EXPECT_EQ(ended.output.find("sample 1"), std::string::npos);
}

TEST_F(Profile, NamesAFolderThatItCannotWriteInBeforeItComputes) {
  file("report", "a file");
  for (const char* output : {"report", "report/of/profile"}) {
    const Ended ended = run(profile(0, three_prompts(), output));
    EXPECT_EQ(ended.code, 69) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr("report: is no folder"));
    EXPECT_EQ(ended.output.find("sample 1"), std::string::npos) << ended.output;
  }
}

class ProfileRefuses : public Profile, public ::testing::WithParamInterface<Refusal> {};

TEST_P(ProfileRefuses, WithOneLineThatSaysWhatToDo) {
  file("bad.jsonl", "{\"prompt\": \"a red circle\"}\nnot json\n");
  file("sizes.jsonl", "{\"prompt\": \"a red circle\"}\n{\"prompt\": \"a star\", \"frames\": 1}\n");
  file("refused.jsonl", "{\"prompt\": \"a red circle\", \"height\": 3, \"width\": 48}\n");
  file("empty.txt", "\n");
  expect_refusal(profile(2, three_prompts(), "out"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(, ProfileRefuses, ::testing::Values(
    Refusal{"UnknownKey", {"--sampels", "3"}, {"sampels", "samples"}},
    Refusal{"Broadcasting", {"--broadcast", "x.json"}, {"broadcast"}},
    Refusal{"Clips", {"--clips", "2"}, {"clips"}},
    Refusal{"NoSuchOutputs", {"--outputs", "both"}, {"both", "gated or ungated"}},
    Refusal{"NegativeSamples", {"--samples", "-1"}, {"samples is -1"}},
    Refusal{"SamplesInWords", {"--samples", "all"}, {"samples", "all"}},
    Refusal{"NoSuchNoise", {"--noise", "white"}, {"white", "philox or torch"}},
    Refusal{"NoPrompts", {"--prompts", "FOLDER/none.jsonl"}, {"none.jsonl"}},
    Refusal{"StandardInput", {"--prompts", "-"}, {"expected a file"}},
    Refusal{"EmptyManifest", {"--prompts", "FOLDER/empty.txt"}, {"empty.txt", "holds no prompt"}},
    Refusal{"ABadLine", {"--prompts", "FOLDER/bad.jsonl"}, {"bad.jsonl: line 2"}},
    Refusal{"ARowThatCannotBeMade", {"--prompts", "FOLDER/refused.jsonl"}, {"refused.jsonl: line 1", "at least 8"}},
    Refusal{"VideosThatDiffer", {"--prompts", "FOLDER/sizes.jsonl"}, {"sizes.jsonl: line 2", "1 frame,", "17 frames"}},
    Refusal{"TooFewSteps", {"--steps", "3"}, {"steps is 3, expected at least 4"}},
    Refusal{"NoSnapshot", {"--snapshot", "FOLDER/none"}, {"none"}},
    Refusal{"NoSuchDevice", {"--device", "tpu"}, {"tpu", "cpu or cuda"}},
    Refusal{"NoSuchType", {"--dtype", "int3"}, {"int3", "bfloat16"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace

}  // namespace pyracast::testing
