#include "program.hpp"

#include <gmock/gmock.h>

#include <sched.h>

#include <csignal>
#include <fstream>

#include <nlohmann/json.hpp>

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

size_t lines_of(const fs::path& path) {
  const std::string text = read_text(path);
  return size_t(std::count(text.begin(), text.end(), '\n'));
}

size_t videos_in(const fs::path& output) {
  size_t count = 0;
  if (fs::exists(output / "videos"))
    for (const auto& entry : fs::recursive_directory_iterator(output / "videos")) count += entry.path().extension() == ".mp4";
  return count;
}

fs::path shard_in(const fs::path& output) {
  for (const auto& entry : fs::recursive_directory_iterator(output / "shards"))
    if (entry.is_regular_file()) return entry.path();
  return {};
}

class Generate : public GenerateTest {};

TEST_F(Generate, GivesTheSameBytesOnAnyNumberOfRanksAndThreads) {
  const auto prompts = manifest(5);
  ASSERT_EQ(run(command(1, prompts, "reference", {"--threads", "1"})).code, 0);
  const auto reference = content_of(folder / "reference");
  ASSERT_EQ(reference.size(), 2 * 7u);
  for (const auto& [ranks, threads] : {std::pair{1, "2"}, {2, "1"}, {3, "2"}, {4, "1"}}) {
    const std::string output = "on-" + std::to_string(ranks) + "-" + threads;
    const Ended ended = run(command(ranks, prompts, output, {"--threads", threads}));
    ASSERT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(content_of(folder / output), reference) << ranks << " ranks, " << threads << " threads";
  }
}

TEST_F(Generate, DecodesBesideTheNextVideoOnCoresThatAreIdle) {
  cpu_set_t bound;
  CPU_ZERO(&bound);
  sched_getaffinity(0, sizeof bound, &bound);
  if (CPU_COUNT(&bound) < 2) GTEST_SKIP() << "this process has one core";
  const auto prompts = manifest(5);
  ASSERT_EQ(run(command(1, prompts, "at-once")).code, 0);
  const Ended ended = run(command(1, prompts, "beside", {"--threads", "1"}));
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("with another video's decoding beside"));
  EXPECT_THAT(read_text(folder / "beside" / "logs" / "rank-0.log"), HasSubstr("idle cores, each beside the next"));
  EXPECT_EQ(content_of(folder / "beside"), content_of(folder / "at-once"));
  for (const char* output : {"at-once", "beside"})
    EXPECT_EQ(read_text(folder / output / "logs" / "rank-0.log").find("each beside the next") != std::string::npos, output == std::string("beside"));
}

TEST_F(Generate, GivesTheSameBytesOnTeamsOfAnySize) {
  const auto prompts = manifest(2);
  const auto broadcast = file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900],
    "temporal_broadcast": true, "temporal_range": 3, "temporal_threshold": [100, 900], "stored": "ungated"})");
  for (const std::vector<std::string>& policy : {std::vector<std::string>{}, {"--broadcast", broadcast.string()}}) {
    const std::string reuse = policy.empty() ? "" : "-reusing";
    ASSERT_EQ(run(command(1, prompts, "alone" + reuse, policy)).code, 0);
    const auto alone = content_of(folder / ("alone" + reuse));
    for (const auto& [ranks, team, halves] : {std::tuple{2, 2, false}, {3, 3, false}, {4, 2, false}, {4, 4, true}, {5, 5, false}, {8, 8, false}}) {
      auto more = policy;
      more.insert(more.end(), {"--ranks-per-video", std::to_string(team), "--cfg-parallel", halves ? "true" : "false"});
      const std::string output = "on-" + std::to_string(ranks) + "-by-" + std::to_string(team) + (halves ? "-halved" : "") + reuse;
      const Ended ended = run(command(ranks, prompts, output, more));
      ASSERT_EQ(ended.code, 0) << ended.output;
      EXPECT_EQ(content_of(folder / output), alone) << output;
    }
  }
}

TEST_F(Generate, GivesTheSameBytesOnTeamsAndThreadsThatReuseTheUnconditionalHalf) {
  const auto prompts = manifest(2);
  const auto table = file("half.json", R"({"steps": 4, "reuse": [{"branch": "unconditional_half", "evaluations": [1, 3]},
    {"branch": "spatial_attention", "evaluations": [2, 3]}]})");
  const std::vector<std::string> policy{"--broadcast", table.string()};
  ASSERT_EQ(run(command(1, prompts, "alone", policy)).code, 0);
  const auto alone = content_of(folder / "alone");
  ASSERT_EQ(run(command(1, prompts, "whole")).code, 0);
  EXPECT_NE(alone, content_of(folder / "whole"));
  for (const auto& [ranks, team, threads] : {std::tuple{1, 1, "2"}, {2, 1, "1"}, {2, 2, "1"}, {2, 2, "2"}, {3, 3, "1"}}) {
    auto more = policy;
    more.insert(more.end(), {"--ranks-per-video", std::to_string(team), "--threads", threads});
    const std::string output = "on-" + std::to_string(ranks) + "-by-" + std::to_string(team) + "-" + threads;
    const Ended ended = run(command(ranks, prompts, output, more));
    ASSERT_EQ(ended.code, 0) << ended.output;
    EXPECT_EQ(content_of(folder / output), alone) << output;
  }
}

TEST_F(Generate, MakesNothingAnewWhenItIsRunAgain) {
  const auto prompts = manifest(2);
  ASSERT_EQ(run(command(2, prompts, "out")).code, 0);
  std::map<std::string, fs::file_time_type> times;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "out" / "videos")) times[entry.path()] = entry.last_write_time();
  const Ended again = run(command(1, prompts, "out"));
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("3 of 3 videos (3 were there)"));
  EXPECT_THAT(again.output, HasSubstr("of 3 videos flagged"));
  for (const auto& [path, time] : times) EXPECT_EQ(fs::last_write_time(path), time) << path;
}

TEST_F(Generate, AddsTheSamplesOfALongerManifest) {
  ASSERT_EQ(run(command(1, manifest(2), "out")).code, 0);
  ASSERT_EQ(run(command(1, manifest(4), "out")).code, 0);
  ASSERT_EQ(run(command(1, manifest(4), "at-once")).code, 0);
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "at-once"));
}

TEST_F(Generate, LosesAndDoublesNothingWhenAllRanksAreKilledAgainAndAgain) {
  const auto prompts = manifest(8);
  ASSERT_EQ(run(command(2, prompts, "reference")).code, 0);
  int kills = 0;
  for (size_t wanted : {1, 4, 7}) {
    Program program(command(2, prompts, "killed"), folder / "log");
    ASSERT_TRUE(eventually([&] { return videos_in(folder / "killed") >= wanted || !program.running(); }));
    program.signal_all(SIGKILL);
    kills += program.wait().code != 0;
  }
  EXPECT_GT(kills, 0);
  const Ended last = run(command(3, prompts, "killed"));
  ASSERT_EQ(last.code, 0) << last.output;
  EXPECT_EQ(content_of(folder / "killed"), content_of(folder / "reference"));
  EXPECT_FALSE(fs::exists(folder / "killed" / "quarantine")) << "an undamaged folder has nothing to put aside";
}

TEST_F(Generate, StopsCleanlyOnATermSignalAndGoesOnWhenRunAgain) {
  const auto prompts = manifest(8);
  ASSERT_EQ(run(command(0, prompts, "reference")).code, 0);
  Program program(command(0, prompts, "stopped"), folder / "log");
  ASSERT_TRUE(eventually([&] { return videos_in(folder / "stopped") >= 2; }));
  program.signal(SIGTERM);
  const Ended stopped = program.wait();
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  EXPECT_EQ(lines_of(folder / "stopped" / "metadata.jsonl"), videos_in(folder / "stopped"));
  EXPECT_LT(videos_in(folder / "stopped"), 11u);
  ASSERT_EQ(run(command(0, prompts, "stopped")).code, 0);
  EXPECT_EQ(content_of(folder / "stopped"), content_of(folder / "reference"));
}

TEST_F(Generate, RefusesAFolderThatAnotherJobIsWritingTo) {
  const auto prompts = manifest(8);
  Program first(command(0, prompts, "out", {"--steps", "200"}), folder / "first.log");
  ASSERT_TRUE(eventually([&] { return fs::exists(folder / "out" / "work" / "fingerprint.json"); }));
  Program second(command(0, prompts, "out", {"--steps", "200"}), folder / "log");
  ASSERT_TRUE(eventually([&] { return second.catches(SIGTERM); }));
  second.signal(SIGTERM);   // or it waits half a minute for the first to go
  const Ended refused = second.wait();
  first.signal(SIGKILL);
  EXPECT_EQ(refused.code, 69) << refused.output;
  EXPECT_THAT(refused.output, HasSubstr("is in use by process"));
}

TEST_F(Generate, EndsWithTheEnvironmentsCodeWhereTheFolderCannotBeWritten) {
  const auto prompts = manifest(1);
  ASSERT_EQ(run(command(0, prompts, "out")).code, 0);
  fs::create_directories(folder / "out" / "metadata.jsonl.tmp" / "in the way");
  const Ended ended = run(command(0, prompts, "out"));
  EXPECT_EQ(ended.code, 69) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("metadata.jsonl.tmp"));
  EXPECT_THAT(run({PYRACAST, "status", "--output", (folder / "out").string()}).output, HasSubstr("the last one ended: with 69, "));
  fs::remove_all(folder / "out" / "metadata.jsonl.tmp");
  EXPECT_EQ(run(command(0, prompts, "out")).code, 0);
}

TEST_F(Generate, MakesFilesThatAGroupMayWriteWhereTheUmaskSaysSo) {
  std::string line = "umask 002; exec";
  for (const std::string& word : command(0, manifest(1), "out")) line += " '" + word + "'";
  const Ended ended = run({"sh", "-c", line});
  ASSERT_EQ(ended.code, 0) << ended.output;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "out"))
    EXPECT_NE(entry.status().permissions() & fs::perms::group_write, fs::perms::none) << entry.path();
  const Ended file_in_the_way = run(command(0, manifest(1), "out/run.json"));
  EXPECT_EQ(file_in_the_way.code, 69);
  EXPECT_THAT(file_in_the_way.output, HasSubstr("run.json: is no folder"));
}

TEST_F(Generate, EndsWhereRanksComputeOnProcessorsThatGiveOtherBits) {
  if (!__builtin_cpu_supports("avx2")) GTEST_SKIP() << "this processor has no AVX2";
  const auto prompts = manifest(1);
  std::vector<std::string> both = command(1, prompts, "out", {"--cpu-isa", "avx2"}), other = command(1, prompts, "out", {"--cpu-isa", "portable"});
  both.push_back(":");
  both.insert(both.end(), other.begin() + 1, other.end());
  const Ended ended = run(both);
  EXPECT_EQ(ended.code, 64) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("the first rank computes on cpu-avx2"), HasSubstr("rank 1 on node"), HasSubstr("cpu-portable"),
                                  HasSubstr("--cpu-isa portable")));
}

TEST_F(Generate, RefusesOtherSettingsInTheSameFolderAndNamesThem) {
  const auto prompts = manifest(1);
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  const Ended refused = run(command(2, prompts, "out", {"--guidance", "4"}));
  EXPECT_EQ(refused.code, 65) << refused.output;
  EXPECT_THAT(refused.output, AllOf(HasSubstr("guidance"), HasSubstr("out")));
}

TEST_F(Generate, RecordsFailedSamplesWithTheirReason) {
  fs::copy(DEMO_SNAPSHOT, folder / "broken", fs::copy_options::recursive);
  std::fstream weights(folder / "broken/transformer/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  weights.seekp(-4000, std::ios::end);
  weights << std::string(4000, '\xff');   // bfloat16 that are not numbers
  weights.close();
  const auto words = command(2, manifest(1), "out", {"--snapshot", (folder / "broken").string()});
  const Ended ended = run(words);
  EXPECT_EQ(ended.code, 3) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("1 failed"));
  EXPECT_EQ(videos_in(folder / "out"), 0u);
  EXPECT_EQ(nlohmann::json::parse(read_text(folder / "out" / "run.json"))["samples"]["failed"], 1);
  const Ended dump = run({"h5dump", "-d", "/content/reason", shard_in(folder / "out").string()});
  EXPECT_THAT(dump.output, HasSubstr("not finite"));
  EXPECT_EQ(run(words).code, 3) << "a failure is remembered, not tried for ever";

  auto many = command(1, manifest(8), "many", {"--snapshot", (folder / "broken").string(), "--give-up-after", "2"});
  const Ended given_up = run(many);
  EXPECT_EQ(given_up.code, 69) << given_up.output;
  EXPECT_THAT(given_up.output, AllOf(HasSubstr("given up: 2 samples of a team failed one after the other"), HasSubstr("not finite")));
  EXPECT_EQ(nlohmann::json::parse(read_text(folder / "many" / "run.json"))["samples"]["failed"], 2);
  many.back() = "0";
  EXPECT_EQ(run(many).code, 3) << "and goes on where it is not to give up";
}

// Where nobody reads what is printed any more, a run without mpirun goes on.
TEST_F(Generate, OutlivesWhoReadsItsMessages) {
  std::string line;
  for (const std::string& word : command(0, manifest(3), "out", {"--verbose"})) line += "'" + word + "' ";
  const Ended ended = run({"bash", "-c", line + "2>&1 | true; exit ${PIPESTATUS[0]}"});
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_TRUE(fs::exists(folder / "out" / "run.json"));
}

TEST_F(Generate, TakesWhatItSavesAsASet) {
  const auto prompts = manifest(1);
  ASSERT_EQ(run(command(1, prompts, "out", {"--save", "latents,embeddings"})).code, 0);
  const Ended again = run(command(1, prompts, "out", {"--save", "embeddings,latents,latents"}));
  EXPECT_EQ(again.code, 0) << again.output;
}

TEST_F(Generate, LeavesOutPromptsThatSayNothing) {
  const auto prompts = file("prompts.txt", "https://x.com/a\n<br>\na red circle\n");
  const Ended ended = run(command(1, prompts, "out"));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(read_text(folder / "out" / "rejected.jsonl"), HasSubstr("says nothing once it is cleaned"));
  EXPECT_EQ(lines_of(folder / "out" / "rejected.jsonl"), 2u);
  EXPECT_EQ(videos_in(folder / "out"), 1u);
}

TEST_F(Generate, RejectsBadLinesOfAManifestAndRunsTheRest) {
  const auto prompts = file("prompts.jsonl", "{\"prompt\": \"a red circle\"}\nnot json\n{\"prompt\": \"x\", \"frames\": -3}\n");
  const Ended ended = run(command(1, prompts, "out"));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("2 lines of the manifest were rejected"));
  EXPECT_EQ(lines_of(folder / "out" / "rejected.jsonl"), 2u);
  EXPECT_EQ(videos_in(folder / "out"), 1u);
  const Ended strict = run(command(1, prompts, "strict", {"--strict"}));
  EXPECT_EQ(strict.code, 64) << strict.output;
  EXPECT_EQ(videos_in(folder / "strict"), 0u);
}

TEST_F(Generate, ReadsPromptsFromStandardInput) {
  std::string line;
  for (const std::string& word : command(2, "-", "out")) line += "'" + word + "' ";
  const Ended ended = run({"sh", "-c", "printf 'a red circle\\na blue square\\na red circle\\n' | " + line});
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("1 row of the manifest equals an earlier one and makes no video of their own"));
  EXPECT_EQ(videos_in(folder / "out"), 2u);
}

TEST_F(Generate, ReadsAllOfAPipe) {
  const auto from_pipe = [&](const std::vector<std::string>& words) {
    std::string line;
    for (const std::string& word : words) line += word.starts_with("<(") ? word + ' ' : "'" + word + "' ";
    return run({"bash", "-c", line});
  };
  const std::string pipe = "<(printf 'a red circle\\na blue square\\n')";
  const Ended ended = from_pipe(command(0, pipe, "out"));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(videos_in(folder / "out"), 2u);
  const Ended forked = from_pipe(command(0, pipe, "out", {"--on-change", "fork"}));
  EXPECT_EQ(forked.code, 64);
  EXPECT_THAT(forked.output, HasSubstr("reads the manifest twice"));
  const Ended config = from_pipe(command(0, manifest(1), "other", {"--config", "<(printf 'seed = 7\\n')"}));
  EXPECT_EQ(config.code, 64);
  EXPECT_THAT(config.output, HasSubstr("is a pipe, expected a file"));
}

TEST_F(Generate, KeepsFramesAndLatentsOnRequest) {
  const Ended ended = run(command(1, manifest(1), "out", {"--save", "frames,latents"}));
  ASSERT_EQ(ended.code, 0) << ended.output;
  const fs::path shard = shard_in(folder / "out");
  const Ended dump = run({"h5dump", "-n", shard.string()});
  ASSERT_EQ(dump.code, 0) << dump.output;
  EXPECT_THAT(dump.output, AllOf(HasSubstr("latents"), HasSubstr("17x32x32")));
}

class GenerateRefuses : public GenerateTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(GenerateRefuses, WithOneLineThatSaysWhatToDo) {
  file("window.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [900, 100]})");
  file("range.json", R"({"cross_broadcast": true, "cross_range": 0, "cross_threshold": [100, 900]})");
  file("null.json", "null");
  file("text.json", R"({"cross_broadcast": true, "cross_range": "6", "cross_threshold": [100, 900]})");
  file("key.json", R"({"spatial_gap": 2})");
  file("table.json", R"({"steps": 9, "reuse": [{"branch": "spatial_attention", "evaluations": [3]}]})");
  file("first.json", R"({"steps": 4, "reuse": [{"branch": "spatial_attention", "evaluations": [0]}]})");
  file("branch.json", R"({"steps": 4, "reuse": [{"branch": "spatial_thing", "evaluations": [1]}]})");
  file("half.json", R"({"steps": 4, "reuse": [{"branch": "unconditional_half", "evaluations": [1]}]})");
  file("half-of-blocks.json", R"({"steps": 4, "reuse": [{"branch": "unconditional_half", "evaluations": [1], "blocks": [0]}]})");
  file("bad.cfg", "steps = 4\n# a comment\ngudance = 3\n");
  file("header.csv", "id,text\na,b\n");
  file("array.json", "[{\"prompt\": \"a\"}]");
  file("utf16.txt", "\xFF\xFE" "a");
  file("cut.jsonl.gz", "\x1F\x8B\x08");
  file("blank.jsonl", "\n\n");
  expect_refusal(command(2, manifest(1), "out"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(, GenerateRefuses, ::testing::Values(
    Refusal{"UnknownKey", {"--gudance", "3"}, {"gudance", "guidance"}},
    Refusal{"UnknownKeyOfAFile", {"--config", "FOLDER/bad.cfg"}, {"bad.cfg:3", "gudance", "guidance"}},
    Refusal{"NoConfig", {"--config", "FOLDER/none.cfg"}, {"none.cfg"}},
    Refusal{"NotANumber", {"--seed", "many"}, {"seed", "many"}},
    Refusal{"NoSnapshot", {"--transformer", "FOLDER/none"}, {"none", "transformer"}},
    Refusal{"NoPrompts", {"--prompts", "FOLDER/none.jsonl"}, {"none.jsonl"}},
    Refusal{"PromptsThatAreAFolder", {"--prompts", "FOLDER"}, {"Is a directory"}},
    Refusal{"PromptsWithoutTheirColumn", {"--prompts", "FOLDER/header.csv"}, {"header.csv", "\"text\"", "(all: id, prompt, "}},
    Refusal{"PromptsInAnArray", {"--prompts", "FOLDER/array.json"}, {"array.json", "jq -c"}},
    Refusal{"PromptsOfAnotherEncoding", {"--prompts", "FOLDER/utf16.txt"}, {"utf16.txt", "expected UTF-8"}},
    Refusal{"PromptsThatAreCutOff", {"--prompts", "FOLDER/cut.jsonl.gz"}, {"cut.jsonl.gz"}},
    Refusal{"PromptsWithoutAPrompt", {"--prompts", "FOLDER/blank.jsonl"}, {"blank.jsonl: holds no prompt"}},
    Refusal{"NoSuchModel", {"--model", "sora"}, {"sora", "opensora-1.2"}},
    Refusal{"NoSuchDevice", {"--device", "tpu"}, {"tpu", "cpu or cuda"}},
    Refusal{"NoSuchType", {"--dtype", "int3"}, {"int3", "bfloat16"}},
    Refusal{"NothingToSave", {"--save", "everything"}, {"everything", "latents"}},
    Refusal{"TeamThatDoesNotFit", {"--ranks-per-video", "3"}, {"ranks-per-video is 3", "the sizes that fit are [1, 2]"}},
    Refusal{"TeamOfNobody", {"--ranks-per-video", "0"}, {"ranks-per-video is \"0\"", "a whole number of 1 or more, or auto"}},
    Refusal{"HalvesOfOne", {"--cfg-parallel", "true"}, {"two equal halves", "ranks-per-video is 1"}},
    Refusal{"NoTimeout", {"--collective-timeout", "0"}, {"collective-timeout is 0", "more than 0"}},
    Refusal{"NoBroadcastFile", {"--broadcast", "FOLDER/none.json"}, {"none.json"}},
    Refusal{"BroadcastThatIsNoJson", {"--broadcast", "FOLDER/bad.cfg"}, {"bad.cfg"}},
    Refusal{"WindowTurnedAround", {"--broadcast", "FOLDER/window.json"}, {"window.json", "spatial_threshold is [900, 100]", "[low, high]"}},
    Refusal{"RangeOfNothing", {"--broadcast", "FOLDER/range.json"}, {"range.json", "cross_range is 0", "1 (compute always) or more"}},
    Refusal{"BroadcastOfNull", {"--broadcast", "FOLDER/null.json"}, {"null.json: is null, expected an object"}},
    Refusal{"RangeInQuotes", {"--broadcast", "FOLDER/text.json"}, {"text.json: \"cross_range\" is \"6\", expected a whole number"}},
    Refusal{"UnknownBroadcastKey", {"--broadcast", "FOLDER/key.json"}, {"key.json", "spatial_gap", "PABConfig"}},
    Refusal{"TableOfOtherSteps", {"--broadcast", "FOLDER/table.json"}, {"table.json", "a table of 9 steps", "use 9 steps"}},
    Refusal{"ReuseAtTheBeginning", {"--broadcast", "FOLDER/first.json"}, {"first.json", "evaluation 0", "nothing to reuse"}},
    Refusal{"NoSuchBranch", {"--broadcast", "FOLDER/branch.json"}, {"branch.json", "spatial_thing"}},
    Refusal{"BlocksOfAHalf", {"--broadcast", "FOLDER/half-of-blocks.json"}, {"half-of-blocks.json", "leave \"blocks\" out"}},
    Refusal{"HalfOfNoGuidance", {"--broadcast", "FOLDER/half.json", "--guidance", "1"}, {"half.json", "guidance is 1, expected more than 1"}},
    Refusal{"HalfThatOtherRanksHave", {"--broadcast", "FOLDER/half.json", "--ranks-per-video", "2", "--cfg-parallel", "true"},
            {"half.json", "leave cfg-parallel out"}},
    Refusal{"GuidanceBelowItsLimits", {"--guidance", "-1"}, {"guidance is -1.0, expected a number from 0 to 1000"}},
    Refusal{"AestheticAboveItsLimits", {"--aesthetic", "1e10"}, {"aesthetic is 10000000000.0, expected a number from -1000 to 1000"}},
    Refusal{"FpsBelowItsLimits", {"--fps", "0.0001"}, {"fps is 0.0001, expected a number from 0.001 to 1000"}},
    Refusal{"StepsAboveTheirLimits", {"--steps", "99999999"}, {"steps is 99999999, expected a whole number from 1 to 10000"}},
    Refusal{"FramesAboveTheirLimits", {"--frames", "99999999"}, {"frames is 99999999, expected a whole number from 1 to 1048576"}},
    Refusal{"NegativeHeight", {"--height", "-48", "--width", "48"}, {"height is -48, expected a whole number from 1 to 16384"}},
    Refusal{"EditOfMoreThanAll", {"--clips", "2", "--condition-edit", "5"}, {"condition-edit is 5, expected 0 to 1"}},
    Refusal{"FramesBeforeTheFirst", {"--clips", "2", "--condition-latents", "-5"}, {"condition-latents is -5"}},
    Refusal{"MoreFramesThanThereAre", {"--clips", "2", "--condition-latents", "500"}, {"500 latent frames", "frames has at most 5"}},
    Refusal{"NegativeThreads", {"--threads", "-3"}, {"threads is -3, expected 0 (automatic) to 1024"}},
    Refusal{"ThreadsWithoutEnd", {"--threads", "5000"}, {"threads is 5000, expected 0 (automatic) to 1024"}},
    Refusal{"NegativePatience", {"--give-up-after", "-1"}, {"give-up-after is -1"}},
    Refusal{"ModelOfAnotherSnapshot", {"--model", "latte-1"}, {"is opensora-1.2", "leave --model out"}},
    Refusal{"HeightAlone", {"--height", "48"}, {"height and width"}},
    Refusal{"NoSize", {"--height", "3", "--width", "48"}, {"3"}}),
    [](const auto& info) { return info.param.name; });

TEST(Program, DescribesItsSettingsByGroups) {
  const fs::path log = fs::temp_directory_path() / ("pyracast-help-" + std::to_string(::getpid()));
  const Ended help = Program({PYRACAST, "generate", "--help"}, log).wait();
  EXPECT_EQ(help.code, 0);
  EXPECT_THAT(help.output, AllOf(HasSubstr("Sampling"), HasSubstr("--guidance"), HasSubstr("(=42)"), HasSubstr("Distribution")));
  const Ended versions = Program({PYRACAST, "--version"}, log).wait();
  EXPECT_EQ(versions.code, 0);
  EXPECT_THAT(versions.output, AllOf(HasSubstr("hdf5: "), HasSubstr("mpi: "), HasSubstr("revision: "), HasSubstr("compiler: ")));
  fs::remove(log);
}

TEST(Program, SaysThatItsOutputIsLost) {
  const fs::path log = fs::temp_directory_path() / ("pyracast-lost-" + std::to_string(::getpid()));
  const Ended lost = Program({"sh", "-c", PYRACAST " models > /dev/full"}, log).wait();
  EXPECT_EQ(lost.code, 69);
  EXPECT_THAT(lost.output, HasSubstr("standard output cannot be written: No space left on device"));
  fs::remove(log);
}

TEST(Program, RefusesWordsThatNoJobTakes) {
  const fs::path log = fs::temp_directory_path() / ("pyracast-words-" + std::to_string(::getpid()));
  for (const char* const words : {" models xx", " clean --nonsense", " bench --phases foo", " bench --threads -1"}) {
    const Ended refused = Program({"sh", "-c", std::string(PYRACAST) + words + " < /dev/null"}, log).wait();
    EXPECT_EQ(refused.code, 64) << words << ": " << refused.output;
  }
  for (const char* const words : {" models --help", " clean --help", " help", " status --output x --help", " inspect -h"}) {
    const Ended helped = Program({"sh", "-c", std::string(PYRACAST) + words + " < /dev/null"}, log).wait();
    EXPECT_EQ(helped.code, 0) << words;
    EXPECT_THAT(helped.output, HasSubstr("usage: pyracast")) << words;
  }
  fs::remove(log);
}

TEST_F(Generate, NeedsAFolderForTemporaryFilesToValidate) {
  const std::string none = "TMPDIR=" + (folder / "none").string();
  const Ended ended = run({"env", none, PYRACAST, "validate", "--model", "null", "--prompts", manifest(1).string()});
  EXPECT_EQ(ended.code, 69) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("set TMPDIR"));
}

}  // namespace

}  // namespace pyracast::testing
