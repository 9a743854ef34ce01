// What `pyracast inspect` says of snapshots that cannot be used, and of what in usable ones has no effect.
#include <gmock/gmock.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

/// A snapshot of Latte-1 that a test may damage.
class Inspect : public GenerateTest {
 protected:
  fs::path snapshot, transformer;

  void SetUp() override {
    GenerateTest::SetUp();
    make("latte-1", "snapshot");
    snapshot = folder / "snapshot";
    transformer = snapshot / "transformer";
  }
  void make(const char* family, const char* name) const {
    ASSERT_EQ(run({MAKE_TINY_SNAPSHOT, family, (folder / name).string(), DEMO_SNAPSHOT}).code, 0);
  }
  Ended inspect(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {PYRACAST, "inspect", snapshot.string()});
    return run(more);
  }
  /// `inspect` ends with 64 and names the place and what is wrong there.
  void expect_refusal(const fs::path& place, const std::string& what, std::vector<std::string> more = {}) const {
    const Ended ended = inspect(std::move(more));
    EXPECT_EQ(ended.code, 64) << ended.output;
    EXPECT_THAT(ended.output, AllOf(HasSubstr(place.string()), HasSubstr(what)));
  }
  /// Sets a key of a JSON file.
  void set(const fs::path& file, const char* key, const Json& value) const {
    Json json = Json::parse(read_text(file));
    json[key] = value;
    std::ofstream(file) << json.dump(1);
  }
  fs::path weights() const { return transformer / "diffusion_pytorch_model.safetensors"; }
};

TEST_F(Inspect, SaysWhichFileIsMissing) {
  fs::remove(weights());
  expect_refusal(transformer, "safetensors");
  fs::remove(transformer / "config.json");
  expect_refusal(transformer / "config.json", "", {"--model", "latte-1"});
  fs::remove_all(transformer);
  expect_refusal(snapshot, "config.json");
  expect_refusal(transformer, "does not exist", {"--model", "latte-1"});
}

TEST_F(Inspect, SaysWhichPartIsMissing) {
  fs::remove_all(snapshot / "text_encoder");
  expect_refusal(snapshot / "text_encoder", "--text-encoder");
}

TEST_F(Inspect, AsksForTheSnapshot) {
  const Ended ended = run({PYRACAST, "inspect"});
  EXPECT_EQ(ended.code, 64);
  EXPECT_THAT(ended.output, HasSubstr("pyracast: which snapshot to look at is not known\nusage: pyracast inspect [SNAPSHOT]"));
}

TEST_F(Inspect, NamesAClassThatNoFamilyHas) {
  set(transformer / "config.json", "_class_name", "UNet3DConditionModel");
  expect_refusal(snapshot, "UNet3DConditionModel");
}

TEST_F(Inspect, ListsWeightsThatAreMissing) {
  set(transformer / "config.json", "num_layers", 3);
  expect_refusal(transformer, "missing: transformer_blocks.2");
}

TEST_F(Inspect, ListsWeightsOfAnotherShape) {
  set(transformer / "config.json", "out_channels", 4);
  expect_refusal(transformer, "proj_out.weight is [32, 48], expected [16, 48]");
}

TEST_F(Inspect, NamesPartsThatDoNotBelongTogether) {
  set(transformer / "config.json", "caption_channels", 32);
  expect_refusal(snapshot / "text_encoder", "gives 64");
}

TEST_F(Inspect, ListsWeightsThatNobodyAsksFor) {
  set(transformer / "config.json", "num_layers", 1);
  expect_refusal(transformer, "transformer_blocks.1");
}

TEST_F(Inspect, NamesAFileOfWeightsThatIsCutShort) {
  fs::resize_file(weights(), fs::file_size(weights()) / 2);
  expect_refusal(weights(), "");
}

TEST_F(Inspect, NamesAFileOfWeightsWhoseHeaderIsGarbage) {
  {
    std::fstream file(weights(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(8);
    file << "garbage!";
  }
  expect_refusal(weights(), "");
  std::ofstream(weights()) << "no";
  expect_refusal(weights(), "");
}

TEST_F(Inspect, NamesAConfigThatIsNoJson) {
  std::ofstream(transformer / "config.json") << "{";
  expect_refusal(transformer / "config.json", "not valid JSON");
}

TEST_F(Inspect, TellsOfSchedulerKeysThatHaveNoEffectAndRefusesValuesThatAreNotSupported) {
  const fs::path scheduler = snapshot / "scheduler" / "scheduler_config.json";
  set(scheduler, "skip_prk_steps", true);
  set(scheduler, "_diffusers_version", "0.30.0");
  const Ended ended = inspect();
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr(scheduler.string()), HasSubstr("DDIMScheduler"), HasSubstr("no effect: skip_prk_steps\n")));
  const Ended made = run({MPIEXEC, "-n", "2", PYRACAST, "generate", "--model", "latte-1", "--snapshot", snapshot.string(), "--steps", "4",
                          "--prompts", file("prompts.txt", "a star\na circle\n").string(), "--output", (folder / "out").string()});
  EXPECT_EQ(made.code, 0) << made.output;
  const size_t told = made.output.find("skip_prk_steps");
  EXPECT_NE(told, std::string::npos) << made.output;
  EXPECT_EQ(made.output.find("skip_prk_steps", told + 1), std::string::npos) << "once, not by every rank: " << made.output;
  set(scheduler, "timestep_spacing", "random");
  expect_refusal(scheduler, "timestep_spacing");
}

TEST_F(Inspect, SaysWhichPresetsFitTheNetworksBranches) {
  make("osp-1.2", "over-all");
  const auto presets = (fs::path(DEMO_SNAPSHOT) / ".." / ".." / "broadcast").lexically_normal().string();
  const auto of = [&](const char* name) {
    const Ended ended = run({PYRACAST, "inspect", (folder / name).string(), "--presets", presets, "--json", "true"});
    EXPECT_EQ(ended.code, 0) << ended.output;
    return Json::parse(ended.output);
  };
  const Json pairs = of("snapshot"), over_all = of("over-all");
  EXPECT_TRUE(over_all["teams"][0]["stored_bytes"].contains("osp-1.2-26"));
  EXPECT_TRUE(over_all["presets_that_do_not_fit"].contains("latte-1-236"));
  EXPECT_TRUE(over_all["presets_that_do_not_fit"].contains("demo-246"));
  EXPECT_THAT(over_all["presets_that_do_not_fit"]["demo-246"].dump(), HasSubstr("temporal_* does not fit"));
  EXPECT_FALSE(pairs["presets_that_do_not_fit"].contains("demo-246"));
  EXPECT_TRUE(pairs["teams"][0]["stored_bytes"].contains("demo-246"));
}

TEST_F(Inspect, FindsThePresetsThatComeWithTheProgramInAnyFolder) {
  const Ended ended = run({"/bin/sh", "-c", "cd " + folder.string() + " && exec " PYRACAST " inspect " + snapshot.string() + " --json true"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  const Json seen = Json::parse(ended.output);
  EXPECT_TRUE(seen["teams"][0]["stored_bytes"].contains("demo-246"));
  EXPECT_THAT(seen["notes"].dump(), ::testing::Not(HasSubstr("no preset was tried")));
  const Ended wrong = inspect({"--presets", (folder / "none").string()});
  EXPECT_EQ(wrong.code, 64);
  EXPECT_THAT(wrong.output, HasSubstr((folder / "none").string() + ": is no folder"));
}

TEST_F(Inspect, PresetsHaveTheSameNamesForEveryJob) {
  const auto plan = [&](const std::string& broadcast) {
    return run({"/bin/sh", "-c", "cd " + folder.string() + " && exec " PYRACAST " plan --reuse --model latte-1 --broadcast " + broadcast});
  };
  const Ended by_name = plan("latte-1-236");
  EXPECT_EQ(by_name.code, 0) << by_name.output;
  EXPECT_EQ(by_name.output, plan(BROADCAST_PRESETS "/latte-1-236.json").output);
  EXPECT_THAT(plan("latte-1-2").output, HasSubstr("latte-1-2: is no file and no preset, expected a JSON file or one of demo-246, "));
  EXPECT_THAT(plan("latte-1-236.json").output, HasSubstr("latte-1-236.json")) << "a file is never another one";
  EXPECT_EQ(plan("latte-1-236.json").code, 64);
}

}  // namespace

}  // namespace pyracast::testing
