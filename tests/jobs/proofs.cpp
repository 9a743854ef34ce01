// The jobs that see and prove: verify, status, retry, export, validate, doctor, on what generate has left.
#include "program.hpp"

#include <gmock/gmock.h>

#include <csignal>
#include <fstream>

#include <nlohmann/json.hpp>

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using nlohmann::json;

class Proofs : public GenerateTest {
 protected:
  /// `pyracast <job> --output <folder>/<output> <more>`.
  Ended job(const std::string& name, const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{PYRACAST, name, "--output", (folder / output).string()};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  json job_json(const std::string& name, const std::string& output, std::vector<std::string> more = {}) const {
    more.push_back("--json");
    return json::parse(job(name, output, more).output, nullptr, false);
  }
  fs::path first_below(const fs::path& below, const char* extension) const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::recursive_directory_iterator(below))
      if (entry.path().extension() == extension) files.push_back(entry.path());
    return *std::min_element(files.begin(), files.end());
  }
  fs::path first_video(const std::string& output) const { return first_below(folder / output / "videos", ".mp4"); }
  fs::path first_shard(const std::string& output) const { return first_below(folder / output / "shards", ".h5"); }
  static void flip_byte(const fs::path& path, std::streamoff at) {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(at);
    const char byte = char(file.get());
    file.seekp(at);
    file.put(char(byte ^ 1));
  }
};

TEST_F(Proofs, AKilledJobHasMoreToDoAndIsWholeAfterTheSameCommand) {
  const auto prompts = manifest(8);
  Program program(command(2, prompts, "out"), folder / "log");
  ASSERT_TRUE(eventually([&] {
    const json status = fs::exists(folder / "out/work/manifest.index") ? job_json("status", "out") : json();
    return status.is_object() && status["samples"]["done"].get<int>() >= 3;
  })) << "status sees samples while the job runs";
  program.signal_all(SIGKILL);
  ASSERT_NE(program.wait().code, 0);
  ASSERT_TRUE(eventually([&] { return job_json("status", "out")["running"] == ""; }));
  EXPECT_EQ(job_json("status", "out")["last_words"], "");
  EXPECT_GT(job_json("status", "out")["samples"]["left"], 0);
  const Ended killed = job("verify", "out");
  EXPECT_EQ(killed.code, 75) << killed.output;
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  const Ended whole = job("verify", "out");
  EXPECT_EQ(whole.code, 0) << whole.output;
  EXPECT_THAT(whole.output, HasSubstr("11 samples asked for: 11 done, 0 failed, 0 left"));
  EXPECT_EQ(job_json("status", "out")["last_words"], "complete");
}

TEST_F(Proofs, WhatIsDamagedIsNamedPutAsideAndMadeAgainTheSame) {
  const auto prompts = manifest(4);
  ASSERT_EQ(run(command(2, prompts, "out")).code, 0);
  const auto sound = content_of(folder / "out");
  const fs::path video = first_video("out"), shard = first_shard("out");
  flip_byte(video, 500);
  flip_byte(shard, std::streamoff(fs::file_size(shard) / 2));
  std::ofstream(folder / "out/videos/stray.mp4") << "x";
  const Ended damaged = job("verify", "out", {"--put-aside"});
  EXPECT_EQ(damaged.code, 4) << damaged.output;
  EXPECT_THAT(damaged.output, AllOf(HasSubstr(shard.filename().string()), HasSubstr("stray  videos/stray.mp4")));
  EXPECT_TRUE(fs::exists(folder / "out/quarantine/stray.mp4"));
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  const Ended whole = job("verify", "out");
  EXPECT_EQ(whole.code, 0) << whole.output;
  EXPECT_EQ(content_of(folder / "out"), sound);
}

TEST_F(Proofs, ASetIsExtendedWithMorePromptsOrSamples) {
  const auto prompts = file("prompts.jsonl", "{\"id\": \"a\", \"prompt\": \"a red circle\"}\n{\"prompt\": \"a blue star\"}\n");
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  ASSERT_EQ(job("verify", "out").code, 0);
  file("prompts.jsonl", "{\"id\": \"a\", \"prompt\": \"a red circle\", \"samples\": 2}\n"
                        "{\"prompt\": \"a blue star\", \"samples\": 2}\n{\"prompt\": \"a green square\"}\n");
  EXPECT_EQ(job("verify", "out", {"--prompts", prompts.string()}).code, 75);
  const auto extend = [&](const std::string& output) {
    std::vector<std::string> words = command(2, prompts, output);
    std::replace(words.begin(), words.end(), std::string("generate"), std::string("extend"));
    return run(words);
  };
  const Ended refused = extend("elsewhere");
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, HasSubstr("elsewhere: holds no dataset that could be extended"));
  EXPECT_FALSE(fs::exists(folder / "elsewhere"));
  const Ended extended = extend("out");
  ASSERT_EQ(extended.code, 0) << extended.output;
  EXPECT_THAT(extended.output, HasSubstr("5 of 5 videos (2 were there)"));
  const Ended whole = job("verify", "out", {"--prompts", prompts.string()});
  EXPECT_EQ(whole.code, 0) << whole.output;
  ASSERT_EQ(run(command(1, prompts, "at-once")).code, 0);
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "at-once"));
}

TEST_F(Proofs, ASampleWhoseFileAndRowAreGoneLeavesTheSet) {
  const std::string kept = "{\"id\": \"a\", \"prompt\": \"a red circle\"}\n";
  const auto prompts = file("prompts.jsonl", kept + "{\"id\": \"bad\", \"prompt\": \"a blue star\"}\n");
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  for (const auto& entry : fs::recursive_directory_iterator(folder / "out/videos"))
    if (entry.path().filename() == "bad.mp4") fs::remove(entry.path());
  file("prompts.jsonl", kept + "{\"id\": \"bad-2\", \"prompt\": \"a blue star\", \"seed\": 7}\n");
  const Ended replaced = run(command(1, prompts, "out"));
  ASSERT_EQ(replaced.code, 0) << replaced.output;
  EXPECT_EQ(job("verify", "out").code, 0);
  ASSERT_EQ(run(command(1, prompts, "at-once")).code, 0);
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "at-once"));
}

TEST_F(Proofs, FailedSamplesAreTriedAgainAfterRetry) {
  fs::copy(DEMO_SNAPSHOT, folder / "broken", fs::copy_options::recursive);
  std::fstream weights(folder / "broken/transformer/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  weights.seekp(-4000, std::ios::end);
  weights << std::string(4000, '\xff');   // bfloat16 that are not numbers
  weights.close();
  const auto words = command(1, manifest(1), "out", {"--snapshot", (folder / "broken").string()});
  ASSERT_EQ(run(words).code, 3);
  EXPECT_EQ(job("verify", "out").code, 3);
  EXPECT_EQ(job_json("status", "out")["failures"].begin().value(), 1);
  EXPECT_THAT(job("retry", "out", {"--class", "disk", "--dry-run"}).output, HasSubstr("0 failed samples would become undone"));
  fs::remove(folder / "out/work/lock");
  ASSERT_EQ(job("retry", "out", {"--dry-run"}).code, 0);
  EXPECT_FALSE(fs::exists(folder / "out/work/lock")) << "only looking writes nothing";
  const Ended undone = job("retry", "out", {"--class", "not finite"});
  EXPECT_EQ(undone.code, 0) << undone.output;
  EXPECT_THAT(undone.output, HasSubstr("1 failed sample is undone"));
  EXPECT_EQ(job("verify", "out").code, 75);
  const Ended again = run(words);
  EXPECT_EQ(again.code, 3) << "the model is still broken";
  EXPECT_THAT(again.output, ::testing::Not(HasSubstr("were there")));
  EXPECT_EQ(job_json("status", "out")["attempt"], 1) << "it was made by the second run";
}

TEST_F(Proofs, ExportsOfTwoRunsOnDifferentRanksAreTheSameBytes) {
  const auto prompts = manifest(4);
  for (const auto& [ranks, output] : {std::pair{1, "one"}, {3, "three"}}) {
    ASSERT_EQ(run(command(ranks, prompts, output, {"--shard-samples", "2"})).code, 0);
    const Ended exported = job("export", output, {"--to", (folder / (std::string(output) + "-tars")).string()});
    ASSERT_EQ(exported.code, 0) << exported.output;
    EXPECT_THAT(exported.output, HasSubstr("5 samples in 1 file,"));
  }
  for (const char* name : {"videos-000000.tar", "export.json"})
    EXPECT_EQ(read_text(folder / "one-tars" / name), read_text(folder / "three-tars" / name)) << name;
  const Ended listed = run({"tar", "-tf", (folder / "one-tars/videos-000000.tar").string()});
  EXPECT_EQ(std::count(listed.output.begin(), listed.output.end(), '\n'), 15);
  const Ended limited = run({"bash", "-c", "ulimit -f 8; exec " PYRACAST " export --output '" + (folder / "one").string() + "' --to '" +
                                               (folder / "limited").string() + "'"});
  EXPECT_EQ(job("verify", "one", {"--threads", "-1"}).code, 64);
  EXPECT_EQ(limited.code, 69) << limited.output;
  EXPECT_THAT(limited.output, AllOf(HasSubstr("videos-000000.tar"), HasSubstr("File too large")));
}

TEST_F(Proofs, AnExportOfAnUnfinishedDatasetEndsAsOneUnlessToldThatItIsPartial) {
  const auto prompts = manifest(4);
  ASSERT_EQ(run(command(2, prompts, "out", {"--shard-samples", "2"})).code, 0);
  fs::remove(first_shard("out"));
  const std::vector<std::string> to{"--to", (folder / "tars").string()};
  const Ended some = job("export", "out", to);
  EXPECT_EQ(some.code, 75) << some.output;
  EXPECT_THAT(some.output, HasSubstr(" still to be made: end the generate of "));
  EXPECT_EQ(job("export", "out", {to[0], to[1], "--partial", "true"}).code, 0);
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  const Ended all = job("export", "out", to);
  EXPECT_EQ(all.code, 0) << all.output;
  EXPECT_THAT(all.output, AllOf(HasSubstr("5 samples in 1 file,"), HasSubstr("this one took its place")));
}

TEST_F(Proofs, ValidateSaysWhatGenerateWouldRefuse) {
  const auto prompts = file("prompts.jsonl",
                            "{\"prompt\": \"a red circle\"}\nno json\n{\"prompt\": \"x\", \"resolution\": \"9000p\"}\n");
  const auto words = [&](const std::string& snapshot) {
    std::vector<std::string> all{PYRACAST, "validate", "--prompts", prompts.string()};
    if (!snapshot.empty()) all.insert(all.end(), {"--snapshot", snapshot});
    return all;
  };
  for (const std::string snapshot : {"", DEMO_SNAPSHOT}) {
    const Ended ended = run(words(snapshot));
    EXPECT_EQ(ended.code, 1) << ended.output;
    EXPECT_THAT(ended.output, AllOf(HasSubstr("1 prompt, 1 sample;"), HasSubstr("2 are refused"), HasSubstr("line 2"),
                                    HasSubstr("9000p")));
  }
  file("prompts.jsonl", "{\"prompt\": \"a red circle\", \"samples\": 3}\n");
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  auto like = words(DEMO_SNAPSHOT);
  like.insert(like.end(), {"--steps", "4", "--like", (folder / "out").string(), "--json"});
  const json found = json::parse(run(like).output);
  EXPECT_EQ(found["samples"], 3);
  EXPECT_GT(found["team_seconds"], 0);
  EXPECT_EQ(run({PYRACAST, "validate", "--prompts", (folder / "none").string()}).code, 64);
  const Ended value = run({PYRACAST, "validate", "--model", "null", "--prompts", manifest(1).string(), "--checkpoint-every", "5m"});
  EXPECT_EQ(value.code, 64);
  EXPECT_THAT(value.output, HasSubstr("checkpoint-every is \"5m\", expected seconds (60s)"));
}

TEST_F(Proofs, DoctorSaysYesToThisMachineOnOneRankAndOnSeveral) {
  for (const char* ranks : {"1", "3"}) {
    const Ended ended = run({MPIEXEC, "-n", ranks, PYRACAST, "doctor", "--output", folder.string()});
    EXPECT_EQ(ended.code, 0) << ended.output;
    for (const char* question : {"MPI serves several threads", "ranks of a node share memory", "clocks agree", "a rename is atomic",
                                 "fsync works", "locks are kept between processes", "there is space"})
      EXPECT_THAT(ended.output, HasSubstr(std::string("yes  ") + question));
  }
  const Ended none = run({PYRACAST, "doctor", "--output", "/proc/self"});
  EXPECT_EQ(none.code, 1) << none.output;
  EXPECT_THAT(none.output, AllOf(HasSubstr("NO   the folder can be written"), HasSubstr("to do: use a folder")));
}

TEST_F(Proofs, EachDescribesItself) {
  for (const char* name : {"verify", "status", "retry", "export", "validate", "doctor"}) {
    const Ended help = run({PYRACAST, name, "--help"});
    EXPECT_EQ(help.code, 0);
    EXPECT_THAT(help.output, AllOf(HasSubstr("usage: "), HasSubstr("--json"))) << name;
  }
  EXPECT_EQ(job("verify", "none").code, 64);
  EXPECT_EQ(job("status", "none").code, 64);
}

}  // namespace

}  // namespace pyracast::testing
