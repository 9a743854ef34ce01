// `generate --audit`: some samples are also made without reuse, and the dataset says what reuse has changed.
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using nlohmann::json;

struct GenerateAudit : GenerateTest {
  fs::path prompts, broadcast;
  void SetUp() override {
    GenerateTest::SetUp();
    prompts = manifest(5);
    broadcast = file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900],
      "temporal_broadcast": true, "temporal_range": 3, "temporal_threshold": [100, 900]})");
  }
  Ended reusing(int ranks, const std::string& output, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--broadcast", broadcast.string()});
    return run(command(ranks, prompts, output, std::move(more)));
  }
  /// The lines of metadata.jsonl by "id sample".
  std::map<std::string, json> rows(const std::string& output) const {
    std::map<std::string, json> rows;
    std::ifstream lines(folder / output / "metadata.jsonl");
    for (std::string line; std::getline(lines, line);) {
      json row = json::parse(line);
      rows[row["id"].get<std::string>() + " " + row["sample"].dump()] = row;
    }
    return rows;
  }
  json status(const std::string& output) const {
    return json::parse(run({PYRACAST, "status", "--output", (folder / output).string(), "--json"}).output);
  }
  Ended on(const char* job, const std::string& output, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {PYRACAST, job, "--output", (folder / output).string()});
    return run(more);
  }
};

TEST_F(GenerateAudit, IsTheSameOnRanksTeamsAndHalvesAndLeavesTheVideosAsTheyAre) {
  ASSERT_EQ(reusing(1, "plain").code, 0);
  const Ended made = reusing(1, "out", {"--audit", "50%"});
  ASSERT_EQ(made.code, 0) << made.output;
  EXPECT_THAT(made.output, HasSubstr("pyracast: audit: "));
  const auto plain = rows("plain"), audited = rows("out");
  size_t count = 0;
  for (const auto& [name, row] : audited) {
    EXPECT_EQ(row["video_sha256"], plain.at(name)["video_sha256"]) << "an audit changes no video";
    EXPECT_EQ(plain.at(name)["audit"], 0);
    EXPECT_EQ(row["audit"] == 1, row["audit_psnr"] > 0 && row["audit_mse"] > 0) << row;
    count += row["audit"] == 1;
  }
  ASSERT_GT(count, 0u);
  ASSERT_LT(count, audited.size());
  const auto reference = content_of(folder / "out");
  for (const auto& [ranks, more] : std::vector<std::pair<int, std::vector<std::string>>>{
           {2, {}}, {2, {"--ranks-per-video", "2"}}, {4, {"--ranks-per-video", "4", "--cfg-parallel", "true"}}}) {
    const std::string output = "on-" + std::to_string(ranks) + "-" + std::to_string(more.size());
    std::vector<std::string> all{"--audit", "50%"};
    all.insert(all.end(), more.begin(), more.end());
    ASSERT_EQ(reusing(ranks, output, all).code, 0);
    EXPECT_EQ(content_of(folder / output), reference) << output;
  }
  const json seen = status("out")["audit"];
  EXPECT_EQ(seen["samples"], count);
  EXPECT_EQ(seen["beyond_the_bound"], 0);
  EXPECT_GT(seen["share_of_time"], 0);
  for (const auto& [name, row] : audited) EXPECT_TRUE(row["audit"] == 0 || row["audit_psnr"] >= seen["worst"]["psnr"]);
  EXPECT_EQ(audited.at(seen["worst"]["id"].get<std::string>() + " " + seen["worst"]["sample"].dump())["audit_psnr"], seen["worst"]["psnr"]);
  const Ended again = on("reproduce", "out", {"--count", "99"});
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_EQ(on("verify", "out").code, 0);
}

TEST_F(GenerateAudit, SaysWhatCompareSaysOfTwoRuns) {
  ASSERT_EQ(run(command(2, prompts, "without", {"--save", "frames,latents"})).code, 0);
  ASSERT_EQ(reusing(2, "with", {"--save", "frames,latents", "--audit", "100%"}).code, 0);
  const auto audited = rows("with");
  const Ended compared =
      run({PYRACAST, "compare", (folder / "without").string(), (folder / "with").string(), "--output", (folder / "page").string()});
  ASSERT_EQ(compared.code, 0) << compared.output;
  const json page = json::parse(read_text(folder / "page/compare.json"));
  ASSERT_EQ(page["samples"].size(), audited.size());
  for (const json& sample : page["samples"]) {
    const json& row = audited.at(sample["id"].get<std::string>() + " " + sample["sample"].dump());
    EXPECT_EQ(row["audit"], 1);
    EXPECT_EQ(row["audit_psnr"], sample["psnr"]);
    EXPECT_EQ(row["audit_ssim"], sample["ssim"]);
    const double drift = sample["latents_drift"];
    EXPECT_NEAR(row["audit_mse"].get<double>(), drift * drift, 1e-12 * drift * drift);
    EXPECT_GT(drift, 0);
  }
}

TEST_F(GenerateAudit, WarnsBeyondTheBoundAndKeepsTheVideoWithoutReuseWhereItIsAsked) {
  ASSERT_EQ(run(command(2, prompts, "without")).code, 0);
  ASSERT_EQ(reusing(2, "bounded", {"--audit", "50%", "--audit-bound", "99"}).code, 0);
  ASSERT_EQ(reusing(1, "out", {"--audit", "50%", "--audit-bound", "99", "--audit-fallback"}).code, 0);
  EXPECT_THAT(read_text(folder / "out/logs/rank-0.log"),
              AllOf(HasSubstr("[warning] BEYOND THE BOUND of 99 dB: clip-"), HasSubstr("it is kept as made without reuse")));
  EXPECT_THAT(read_text(folder / "bounded/logs/rank-0.log") + read_text(folder / "bounded/logs/rank-1.log"),
              AllOf(HasSubstr("BEYOND THE BOUND"), Not(HasSubstr("kept as made without reuse"))));
  const auto without = rows("without"), bounded = rows("bounded"), kept = rows("out");
  size_t beyond = 0;
  for (const auto& [name, row] : kept) {
    const json& with = bounded.at(name);
    EXPECT_EQ(row["audit_psnr"], with["audit_psnr"]);
    EXPECT_EQ(row["audit"], with["audit"] == 2 ? 3 : 0);
    EXPECT_NE(without.at(name)["video_sha256"], with["video_sha256"]);
    EXPECT_EQ(row["video_sha256"], row["audit"] == 3 ? without.at(name)["video_sha256"] : with["video_sha256"]) << row;
    beyond += row["audit"] == 3;
  }
  ASSERT_GT(beyond, 0u);
  ASSERT_LT(beyond, kept.size());
  EXPECT_EQ(status("bounded")["audit"]["beyond_the_bound"], beyond);
  EXPECT_EQ(status("out")["audit"]["kept_without_reuse"], beyond);
  EXPECT_THAT(on("status", "out").output, HasSubstr("BEYOND THE BOUND: " + std::to_string(beyond)));
  ASSERT_EQ(reusing(2, "on-a-team", {"--audit", "50%", "--audit-bound", "99", "--audit-fallback", "--ranks-per-video", "2"}).code, 0);
  EXPECT_EQ(content_of(folder / "on-a-team"), content_of(folder / "out"));
  const Ended again = on("reproduce", "out", {"--count", "99"});
  EXPECT_EQ(again.code, 0) << again.output;
  ASSERT_EQ(on("report", "out").code, 0);
  EXPECT_THAT(read_text(folder / "out/report.html"), AllOf(HasSubstr("Audit: what reuse has changed"), HasSubstr("kept as made without reuse")));
}

TEST_F(GenerateAudit, GoesOnInsideItsPassAfterAKill) {
  const auto one = file("one.jsonl", R"({"id": "Long", "prompt": "a red circle moving left"})" "\n");
  const auto words = [&](int ranks, const std::string& output, std::vector<std::string> more) {
    more.insert(more.begin(), {"--steps", "200", "--broadcast", broadcast.string(), "--audit", "100%"});
    return command(ranks, one, output, more);
  };
  ASSERT_EQ(run(words(1, "whole", {"--checkpoint-every", "never"})).code, 0);
  {
    Program program(words(1, "out", {"--checkpoint-every", "20"}), folder / "killed.log");
    const fs::path saved = folder / "out/work/audit/checkpoints";
    const auto files = [&] {
      size_t count = 0;
      if (fs::exists(saved))
        for (const auto& entry : fs::recursive_directory_iterator(saved)) count += entry.path().extension() == ".safetensors";
      return count;
    };
    ASSERT_TRUE(eventually([&] { return !program.running() || files() > 0; }));
    program.signal_all(SIGKILL);
    program.wait();
    ASSERT_GT(files(), 0u) << "it was killed too late";
  }
  EXPECT_THAT(status("out")["samples"]["left"], 1);
  const Ended ended = run(words(2, "out", {"--checkpoint-every", "20", "--ranks-per-video", "2"}));
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(read_text(folder / "out/logs/rank-0.log"), HasSubstr("Long sample 0 without reuse goes on after"));
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "whole"));
  for (const auto& entry : fs::recursive_directory_iterator(folder / "out/work"))
    EXPECT_NE(entry.path().extension(), ".safetensors") << "what is finished needs none";
  EXPECT_EQ(on("verify", "out").code, 0);
}

TEST_F(GenerateAudit, BeginsInADatasetWithoutOneWhereOnlyNewSamplesAreAskedFor) {
  ASSERT_EQ(run(command(1, manifest(2), "out", {"--broadcast", broadcast.string()})).code, 0);
  manifest(5);
  const Ended refused = reusing(1, "out", {"--audit", "100%"});
  EXPECT_EQ(refused.code, 65);
  EXPECT_THAT(refused.output, HasSubstr("audit"));
  ASSERT_EQ(reusing(1, "out", {"--audit", "100%", "--on-change", "only-new"}).code, 0);
  EXPECT_EQ(status("out")["audit"]["samples"], 7 - 3);
  EXPECT_EQ(on("verify", "out").code, 0);
  const Ended again = on("reproduce", "out", {"--count", "99"});
  EXPECT_EQ(again.code, 0) << again.output;
}

TEST_F(GenerateAudit, IsWholeInDatasetsThatAreJoined) {
  ASSERT_EQ(reusing(1, "whole", {"--audit", "50%"}).code, 0);
  for (const char* part : {"0", "1"})
    ASSERT_EQ(reusing(1, std::string("part-") + part, {"--audit", "50%", "--part", std::string(part) + "/2"}).code, 0);
  const Ended joined = on("join", "out", {(folder / "part-0").string(), (folder / "part-1").string()});
  ASSERT_EQ(joined.code, 0) << joined.output;
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "whole"));
}

class GenerateAuditRefuses : public GenerateTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(GenerateAuditRefuses, WithOneLineThatSaysWhatToDo) {
  file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900]})");
  expect_refusal(command(2, manifest(1), "out"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(, GenerateAuditRefuses, ::testing::Values(
    Refusal{"NothingToAudit", {"--audit", "1%"}, {"audit is 1%", "--broadcast FILE"}},
    Refusal{"NoShare", {"--audit", "0.01", "--broadcast", "FOLDER/pab.json"}, {"audit is \"0.01\"", "a percentage like 5%"}},
    Refusal{"MoreThanAll", {"--audit", "101%", "--broadcast", "FOLDER/pab.json"}, {"audit is \"101%\""}},
    Refusal{"BoundOfNothing", {"--audit-bound", "30", "--broadcast", "FOLDER/pab.json"}, {"audit-bound", "give --audit 1%"}},
    Refusal{"NothingToFallBackAt", {"--audit", "1%", "--audit-fallback", "--broadcast", "FOLDER/pab.json"}, {"--audit-bound DB"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pyracast::testing
