// What products a dataset is made with: what `--dtype auto` comes to on this machine, and what may go on with it.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "kernels/backend.hpp"
#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class Arithmetic : public GenerateTest {
 protected:
  const std::string no_amx = amx_is_kept_from_us_by(), automatic = no_amx.empty() ? "amx" : "bfp16", other = no_amx.empty() ? "bfp16" : "float32";

  /// What a dataset was made with, after a sample of it was made again.
  std::string dtype_of(const std::string& output) const {
    const Ended again = run({PYRACAST, "reproduce", "--output", (folder / output).string(), "--count", "1"});
    EXPECT_EQ(again.code, 0) << again.output;
    return nlohmann::json::parse(read_text(folder / output / "work" / "fingerprint.json")).at("settings").at("dtype");
  }
};

TEST_F(Arithmetic, AutomaticIsRecordedAndGoneOnWithAsWhatItCameTo) {
  const auto prompts = manifest(1);
  ASSERT_EQ(run(command(1, prompts, "out", {"--dtype", "auto"})).code, 0);
  EXPECT_EQ(dtype_of("out"), automatic);
  EXPECT_EQ(run(command(2, manifest(2), "out", {"--dtype", automatic})).code, 0) << "the same products by their own name";
  const Ended refused = run(command(1, manifest(2), "out", {"--dtype", other}));
  EXPECT_EQ(refused.code, 65) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("settings/dtype was \"" + automatic + "\", is \"" + other + "\""));
}

TEST_F(Arithmetic, ThatAnEarlierProgramRecordedAsAutomaticIsRecognised) {
  ASSERT_EQ(run(command(1, manifest(1), "out", {"--dtype", "bfp16"})).code, 0);
  const fs::path recorded = folder / "out/work/fingerprint.json";
  auto content = nlohmann::json::parse(read_text(recorded));
  content["settings"]["dtype"] = "auto", content["products"] = "block floating point";
  file("out/work/fingerprint.json", content.dump());
  const Ended refused = run(command(1, manifest(2), "out", {"--dtype", "float32"}));
  EXPECT_EQ(refused.code, 65) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("settings/dtype was \"bfp16\", is \"float32\""), ::testing::Not(HasSubstr("products"))));
  const Ended ended = run(command(1, manifest(2), "out", {"--dtype", "bfp16"}));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(run({PYRACAST, "verify", "--output", (folder / "out").string()}).code, 0);
}

TEST_F(Arithmetic, OfBlockFloatsIsToBeHadBesideAmxAndReproduced) {
  ASSERT_EQ(run(command(1, manifest(1), "out", {"--dtype", "bfp16"})).code, 0);
  EXPECT_EQ(dtype_of("out"), "bfp16");
  ASSERT_EQ(run(command(1, manifest(1), "pinned", {"--dtype", "auto", "--cpu-isa", "portable"})).code, 0);
  EXPECT_EQ(dtype_of("pinned"), "bfp16") << "an instruction set that is named is used as it is";
}

TEST_F(Arithmetic, OfAmxIsRefusedWhereItCannotBeHad) {
  const auto words = command(1, manifest(1), "out");
  expect_refusal(words, {"with an instruction set", {"--dtype", "amx", "--cpu-isa", "avx2"}, {"dtype is amx", "--cpu-isa auto", "--dtype bfp16"}});
  expect_refusal(words, {"of no such type", {"--dtype", "fp4"}, {"dtype is \"fp4\"", "bfp16", "amx"}});
  if (no_amx.empty()) GTEST_SKIP() << "this machine has AMX";
  expect_refusal(words, {"without AMX", {"--dtype", "amx"}, {no_amx, "--dtype bfp16"}});
}

TEST_F(Arithmetic, OfARankMayNotBeAnother) {
  if (!no_amx.empty()) GTEST_SKIP() << no_amx;
  std::vector<std::string> both = command(1, manifest(1), "out", {"--dtype", "bfp16"}), second = command(1, manifest(1), "out", {"--dtype", "amx"});
  both.push_back(":");
  both.insert(both.end(), second.begin() + 1, second.end());
  const Ended ended = run(both);
  EXPECT_EQ(ended.code, 64) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("the first rank computes on cpu-avx2"), HasSubstr("cpu-amx"), HasSubstr("--dtype bfp16")));
}

TEST_F(Arithmetic, OfAmxGivesTheSameBytesOnTeamsAndTwice) {
  if (!no_amx.empty()) GTEST_SKIP() << no_amx;
  const auto prompts = manifest(3);
  ASSERT_EQ(run(command(1, prompts, "one", {"--dtype", "amx"})).code, 0);
  for (const int ranks : {1, 2, 3}) {
    const std::string output = "of-" + std::to_string(ranks);
    const Ended ended = run(command(ranks, prompts, output, {"--dtype", "amx", "--ranks-per-video", std::to_string(ranks)}));
    ASSERT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(content_of(folder / output), content_of(folder / "one")) << ranks << " ranks a video";
  }
}

}  // namespace
}  // namespace pyracast::testing
