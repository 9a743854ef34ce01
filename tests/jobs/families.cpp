// The whole job with a tiny snapshot of each family: one rank, teams, broadcasting, a kill in between.
#include <gmock/gmock.h>

#include <csignal>

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::HasSubstr;

class GenerateFamily : public GenerateTest, public ::testing::WithParamInterface<const char*> {
 protected:
  fs::path snapshot, prompts, broadcast;

  void SetUp() override {
    GenerateTest::SetUp();
    snapshot = folder / "snapshot";
    ASSERT_EQ(run({MAKE_TINY_SNAPSHOT, GetParam(), snapshot.string(), DEMO_SNAPSHOT}).code, 0);
    prompts = file("prompts.jsonl", R"({"id": "a", "prompt": "A red circle", "samples": 2}
{"id": "b", "prompt": "a star", "negative_prompt": "blurry", "steps": 7}
{"id": "c", "prompt": "a star", "frames": 1, "guidance": 1}
{"id": "d", "prompt": "a star", "frames": 2}
)");
    broadcast = file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900],
      "temporal_broadcast": true, "temporal_range": 3, "temporal_threshold": [100, 900],
      "cross_broadcast": true, "cross_range": 4, "cross_threshold": [100, 900]})");
  }

  std::vector<std::string> command(int ranks, const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{MPIEXEC, "-n", std::to_string(ranks), PYRACAST, "generate", "--model", GetParam(), "--snapshot",
                                 snapshot.string(), "--steps", "5", "--prompts", prompts.string(), "--broadcast", broadcast.string(),
                                 "--output", (folder / output).string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_P(GenerateFamily, MakesADatasetWithTheSameBytesOnOneRankAndOnTeams) {
  const Ended alone = run(command(1, "alone"));
  ASSERT_EQ(alone.code, 0) << alone.output;
  EXPECT_THAT(alone.output, HasSubstr("4 of 4 videos"));
  EXPECT_THAT(alone.output, HasSubstr("reused"));
  EXPECT_THAT(read_text(folder / "alone" / "rejected.jsonl"), HasSubstr("2 frames"));
  // Blocks over all tokens have no temporal branch to broadcast.
  const auto misfit = HasSubstr("temporal_* does not fit this network");
  if (GetParam() == std::string("osp-1.2")) {
    EXPECT_THAT(alone.output, misfit);
  } else {
    EXPECT_THAT(alone.output, ::testing::Not(misfit));
  }
  const auto expected = content_of(folder / "alone");
  EXPECT_EQ(expected.size(), 2 * 4u);
  for (const auto& [ranks, team, halves] : {std::tuple{2, "1", "false"}, {2, "2", "false"}, {3, "3", "false"}, {2, "2", "true"}}) {
    const std::string output = std::to_string(ranks) + "-by-" + team + halves;
    const Ended ended = run(command(ranks, output, {"--ranks-per-video", team, "--cfg-parallel", halves}));
    ASSERT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(content_of(folder / output), expected) << output;
  }
}

TEST_P(GenerateFamily, GoesOnAfterAKill) {
  ASSERT_EQ(run(command(1, "undisturbed")).code, 0);
  {
    Program killed(command(1, "out"), folder / "killed.log");
    ASSERT_TRUE(eventually([&] { return !killed.running() || fs::exists(folder / "out" / "work"); }));
    killed.signal_all(SIGKILL);
    killed.wait();
  }
  const Ended ended = run(command(2, "out", {"--ranks-per-video", "2"}));
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "undisturbed"));
}

TEST_P(GenerateFamily, RefusesToGoOnWithAnotherSampler) {
  ASSERT_EQ(run(command(1, "out")).code, 0);
  const Ended ended = run(command(1, "out", {"--sampler", "euler"}));
  EXPECT_EQ(ended.code, 65) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("sampler"));
}

TEST_P(GenerateFamily, IsToldFromItsSnapshotByInspect) {
  const Ended ended = run({PYRACAST, "inspect", snapshot.string(), "--json", "true"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  const auto said = nlohmann::json::parse(ended.output);
  EXPECT_EQ(said["model"], GetParam());
  EXPECT_GT(said["parts"]["transformer"]["parameters"], 10000);
  EXPECT_EQ(said["teams"].size(), 4u);
}

TEST_P(GenerateFamily, WhoseWeightsAreOfAnotherFamilyIsRefusedByInspect) {
  const std::string other = GetParam() == std::string("latte-1") ? "osp-1.2" : "latte-1";
  ASSERT_EQ(run({MAKE_TINY_SNAPSHOT, other, (folder / "other").string(), DEMO_SNAPSHOT}).code, 0);
  const Ended ended = run({PYRACAST, "inspect", snapshot.string(), "--vae", (folder / "other" / "vae").string()});
  EXPECT_EQ(ended.code, 64) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr((folder / "other" / "vae").string()));
}

INSTANTIATE_TEST_SUITE_P(, GenerateFamily, ::testing::Values("latte-1", "osp-1.1", "osp-1.2"), [](const auto& info) {
  std::string name = info.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

}  // namespace

}  // namespace pyracast::testing
