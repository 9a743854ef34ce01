// `pyracast bench` of the families' networks: random weights, no snapshot.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.hpp"
#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

class BenchNetworks : public GenerateTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(BenchNetworks, TimesAnEvaluationAndADecodingAndTheirMemory) {
  const Ended ended = run({PYRACAST, "bench", "--model", GetParam(), "--phases", "step,decode", "--dtype", "bfloat16", "--height", "32", "--width",
                           "32", "--frames", "1", "--tokens", "4", "--blocks", "1", "--halves", "1", "--steps", "2", "--json", "true"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  std::istringstream lines(ended.output);
  std::vector<std::string> phases;
  for (std::string line; std::getline(lines, line);) {
    const Json row = Json::parse(line);
    EXPECT_EQ(row["model"], GetParam());
    EXPECT_GT(row["seconds"], 0) << line;
    EXPECT_GT(row["weight_bytes"], 50e6) << line;   // of a block at the published width, or of a VAE
    EXPECT_GT(row["peak_bytes"], row["weight_bytes"]) << line;
    phases.push_back(row["phase"]);
  }
  EXPECT_THAT(phases, ::testing::ElementsAre(HasSubstr("1 of "), HasSubstr("evaluation, batch 1"), HasSubstr("evaluation, batch 1"),
                                             HasSubstr("load"), HasSubstr("decode 1 frame")));
}

INSTANTIATE_TEST_SUITE_P(, BenchNetworks, ::testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"), [](const auto& info) {
  std::string name = info.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

using Bench = GenerateTest;

TEST_F(Bench, TimesTheHostsOwnWorkAtPublishedSizesWithoutComputing) {
  const Ended ended = run({PYRACAST, "bench", "--host-only", "true", "--device", "cuda", "--phases", "step", "--json", "true"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  std::istringstream lines(ended.output);
  std::string load, evaluation;
  std::getline(lines, load);
  std::getline(lines, evaluation);
  EXPECT_THAT(Json::parse(evaluation)["phase"], HasSubstr("STDiT3-XL/2: evaluation"));
  EXPECT_GT(Json::parse(evaluation)["weight_bytes"], 2e9) << "in bfloat16, none of which is there";
  EXPECT_EQ(run({PYRACAST, "bench", "--host-only", "true", "--stages", "gelu"}).code, 64) << "stages compute";
}

TEST_F(Bench, SaysNothingOfAPeakThatItDoesNotMeasure) {
  std::vector<std::string> words{PYRACAST, "bench", "--size", "demo", "--stages", "gelu", "--repeats", "1", "--without-peaks"};
  const Ended table = run(words);
  ASSERT_EQ(table.code, 0) << table.output;
  EXPECT_THAT(table.output, ::testing::Not(HasSubstr("peak")));
  EXPECT_THAT(table.output, ::testing::Not(HasSubstr("%")));
  words.push_back("--json");
  const Json json = Json::parse(run(words).output);
  for (const Json& value : {json["peak_gflop_per_second"], json["copy_gbyte_per_second"], json["stages"][0]["share_of_peak"]})
    EXPECT_TRUE(value.is_null()) << json;
  EXPECT_GT(json["stages"][0]["gflop_per_second"], 0);
}

// What measures in turns with another program (tests/bench/peers.py).
TEST_F(Bench, AnswersNamesOnStandardInputWithALineEach) {
  const fs::path names = file("names", "gelu\nnorm-modulate\ngelu\nnothing\n");
  const Ended ended = run({"bash", "-c", concat("'" PYRACAST "' bench --size demo --on-request < '", names.string(), "'")});
  EXPECT_EQ(ended.code, 64);
  std::istringstream lines(ended.output);
  for (const char* name : {"gelu", "norm-modulate", "gelu"}) {
    std::string line;
    ASSERT_TRUE(std::getline(lines, line)) << ended.output;
    EXPECT_EQ(Json::parse(line)["stage"], name);
    EXPECT_GT(Json::parse(line)["latest"], 0);
  }
  EXPECT_THAT(ended.output, HasSubstr("there is no stage \"nothing\""));
}

TEST_F(Bench, RefusesModelsThatDoNotExistAndSizesThatCannotBe) {
  const auto refused = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {PYRACAST, "bench", "--phases", "step"});
    const Ended ended = run(more);
    EXPECT_EQ(ended.code, 64) << ended.output;
    return ended.output;
  };
  EXPECT_THAT(refused({"--model", "latte-2"}), HasSubstr("latte-1"));
  EXPECT_THAT(refused({"--halves", "3"}), HasSubstr("halves"));
  EXPECT_THAT(refused({"--height", "8"}), HasSubstr("at least 16"));
  EXPECT_THAT(refused({"--phases", "step,txt"}), HasSubstr("phases names \"txt\", the nearest is \"text\""));
  EXPECT_THAT(refused({"--phases", "stages", "--size", "720p"}), HasSubstr("expected published, 480p or demo"));
  const std::string stages = refused({"--phases", "stages", "--stages", "gelu,layer*"});
  EXPECT_THAT(stages, HasSubstr("stages names \"layer*\""));
  EXPECT_THAT(stages, ::testing::Not(HasSubstr("GFLOP/s"))) << "before anything is timed";
}

}  // namespace

}  // namespace pyracast::testing
