// Jobs that end inside a video, and go on inside it.
#include <gmock/gmock.h>
#include <sys/mount.h>

#include <algorithm>
#include <fstream>

#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct GenerateCheckpoints : GenerateTest {
  fs::path prompts;
  void SetUp() override {
    GenerateTest::SetUp();
    prompts = file("one.jsonl", R"({"id": "Long", "prompt": "a red circle moving left"})" "\n");
  }
  std::vector<std::string> long_video(int ranks, const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{"--steps", "300", "--broadcast", std::string(BROADCAST_PRESETS) + "/demo-246.json", "--checkpoint-every", "20"};
    words.insert(words.end(), more.begin(), more.end());   // of a word that is given twice the last counts
    return command(ranks, prompts, output, words);
  }
  /// Files of saved progress, the newest last.
  std::vector<fs::path> saved(const std::string& output) const {
    std::vector<fs::path> files;
    if (fs::exists(folder / output / "checkpoints"))
      for (const auto& entry : fs::recursive_directory_iterator(folder / output / "checkpoints"))
        if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
    std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) { return evaluations_of(a) < evaluations_of(b); });
    return files;
  }
  static int evaluations_of(const fs::path& file) { return std::stoi(file.stem().extension().string().substr(1)); }
  /// Starts a run (by mpirun where it is killed: else that would hide the exit code) and ends all its processes with `signal` when it has saved so
  /// many evaluations.
  Ended interrupted(const std::string& output, int signal, int evaluations, std::vector<std::string> more = {}) const {
    const int ranks = signal == SIGKILL ? 1 : 0;   // mpirun has an exit code of its own after TERM
    Program program(long_video(ranks, output, std::move(more)), folder / (output + ".log"));
    EXPECT_TRUE(eventually([&] {
      const auto files = saved(output);
      return !program.running() || (!files.empty() && evaluations_of(files.back()) >= evaluations);
    }));
    if (signal == SIGKILL) program.signal_all(signal);
    else program.signal(signal);
    return program.wait();
  }
  /// Settings under which an output of cross attention is stored behind nearly every evaluation: none leaves nothing.
  std::vector<std::string> always_storing(const std::string& steps) const {
    const fs::path policy = file("always.json", R"({"spatial_broadcast": true, "spatial_threshold": [10, 1001], "spatial_range": 2,
        "cross_broadcast": true, "cross_threshold": [10, 1001], "cross_range": 100000})");
    return {"--steps", steps, "--broadcast", policy.string(), "--checkpoint-every", "1"};
  }
  /// A column of the index, as h5dump prints it.
  std::string column(const std::string& output, const std::string& name) const {
    return run({"h5dump", "-d", name, (folder / output / "index.h5").string()}).output;
  }
  std::string log(const std::string& output) const { return read_text(folder / output / "logs" / "rank-0.log"); }
};

TEST_F(GenerateCheckpoints, LetAKilledJobGoOnInsideItsVideoWithAnotherTeam) {
  ASSERT_EQ(run(long_video(1, "whole", {"--checkpoint-every", "never"})).code, 0);
  interrupted("out", SIGKILL, 60);
  const auto files = saved("out");
  ASSERT_FALSE(files.empty());
  EXPECT_LE(files.size(), 3u) << "two, and one that the kill was too early to remove";
  const Ended ended = run(long_video(2, "out", {"--ranks-per-video", "2"}));
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(log("out"), HasSubstr("Long sample 0 goes on after " + std::to_string(evaluations_of(files.back())) + " evaluations"));
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "whole"));
  EXPECT_EQ(saved("out"), std::vector<fs::path>()) << "what is finished needs none";
}

TEST_F(GenerateCheckpoints, ThatAreDamagedAreNotBelieved) {
  ASSERT_EQ(run(long_video(1, "whole")).code, 0);
  interrupted("out", SIGKILL, 60);
  const auto files = saved("out");
  ASSERT_GE(files.size(), 2u);
  {
    std::fstream newest(files.back(), std::ios::in | std::ios::out | std::ios::binary);
    newest.seekp(-3, std::ios::end);
    newest.put('?');
  }
  const Ended ended = run(long_video(1, "out"));
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "whole"));
  EXPECT_EQ(saved("out"), std::vector<fs::path>());
}

TEST_F(GenerateCheckpoints, AreWrittenWhenTheJobIsAskedToStop) {
  const Ended stopped = interrupted("out", SIGTERM, 20);
  EXPECT_EQ(stopped.code, 75) << stopped.output;
  ASSERT_FALSE(saved("out").empty());
  ASSERT_EQ(run(long_video(1, "out")).code, 0);
  EXPECT_THAT(log("out"), HasSubstr("goes on after"));
}

TEST_F(GenerateCheckpoints, LetAVideoLongerThanAnyJobBeMade) {
  const auto part = [&](const char* seconds) { return run(long_video(1, "out", {"--steps", "3000", "--max-walltime", seconds})); };
  Ended ended = part("3");
  EXPECT_EQ(ended.code, 75) << ended.output;
  ASSERT_FALSE(saved("out").empty());
  const int came_to = evaluations_of(saved("out").back());
  ended = part("3");
  EXPECT_EQ(ended.code, 75) << ended.output;
  EXPECT_GT(evaluations_of(saved("out").back()), came_to);
}

TEST_F(GenerateCheckpoints, HoldStoredOutputsSoThatAnotherTeamGoesOnWithThem) {
  const auto more = [&](std::vector<std::string> words) {
    std::vector<std::string> all = always_storing("300");
    all.insert(all.end(), words.begin(), words.end());
    return all;
  };
  ASSERT_EQ(run(long_video(1, "whole", more({"--checkpoint-every", "never"}))).code, 0);
  interrupted("out", SIGKILL, 40, more({}));
  const int killed_after = evaluations_of(saved("out").back());
  EXPECT_THAT(log("out"), HasSubstr("stored outputs with it"));
  EXPECT_THAT(log("out"), Not(HasSubstr("progress saved after 40 evaluations, 0 stored outputs")));
  {
    Program program(long_video(2, "out", more({"--ranks-per-video", "2", "--cfg-parallel", "true"})), folder / "second.log");
    EXPECT_TRUE(eventually([&] { return !program.running() || evaluations_of(saved("out").back()) >= killed_after + 40; }));
    program.signal_all(SIGKILL);
    program.wait();
  }
  const int last = evaluations_of(saved("out").back());
  EXPECT_GE(last, killed_after + 40);
  const Ended ended = run(long_video(2, "out", more({"--ranks-per-video", "2"})));
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(log("out"), HasSubstr("Long sample 0 goes on after " + std::to_string(last) + " evaluations"));
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "whole"));
  EXPECT_EQ(saved("out"), std::vector<fs::path>());
  EXPECT_THAT(column("out", "provenance/continuations"), HasSubstr("(0): 2"));
  EXPECT_THAT(column("out", "provenance/continued_after"), HasSubstr("(0): " + std::to_string(last)));
  EXPECT_THAT(column("whole", "provenance/continuations"), HasSubstr("(0): 0"));
}

TEST_F(GenerateCheckpoints, LetAVideoBeMadeThatIsNeverWithoutStoredOutputs) {
  int came_to = 0, jobs = 0;
  for (int seconds = 2; jobs < 3;) {   // a busy machine needs longer to come to its first evaluation
    std::vector<std::string> more = always_storing("4000");
    more.insert(more.end(), {"--checkpoint-every", "60s", "--max-walltime", std::to_string(seconds)});
    const Ended ended = run(long_video(1, "out", more));
    ASSERT_EQ(ended.code, 75) << ended.output;
    const int now = saved("out").empty() ? 0 : evaluations_of(saved("out").back());
    now > came_to ? ++jobs : seconds *= 2;
    came_to = now;
  }
  EXPECT_LT(came_to, 3900) << "it is still inside the stretch in which outputs are stored";
  EXPECT_THAT(log("out"), Not(HasSubstr(", 0 stored outputs with it")));
}

TEST_F(GenerateCheckpoints, ThatDoNotFitTheDiskCostNothingButThemselves) {
  const fs::path small = folder / "out" / "checkpoints";
  fs::create_directories(small);
  if (::mount("none", small.c_str(), "tmpfs", 0, "size=64k") != 0) GTEST_SKIP() << "no file system may be mounted here: a full one cannot be made";
  const Ended ended = run(long_video(1, "out", always_storing("20")));
  ::umount(small.c_str());
  ASSERT_EQ(ended.code, 0) << ended.output;
  ASSERT_EQ(run(long_video(1, "whole", always_storing("20"))).code, 0);
  const std::string text = log("out"), said = "its progress is not saved";
  EXPECT_THAT(text, HasSubstr(said));
  EXPECT_EQ(text.find(said), text.rfind(said)) << "once: " << text;
  EXPECT_THAT(text, HasSubstr("No space left on device"));
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "whole"));
}

TEST_F(GenerateCheckpoints, OfOtherSettingsAreRemoved) {
  interrupted("out", SIGKILL, 20);
  ASSERT_FALSE(saved("out").empty());
  std::ofstream(folder / "one.jsonl") << R"({"id": "other", "prompt": "a blue square"})" "\n";
  ASSERT_EQ(run(command(1, prompts, "out", {"--steps", "300", "--broadcast", std::string(BROADCAST_PRESETS) + "/demo-246.json"})).code, 0);
  EXPECT_EQ(saved("out"), std::vector<fs::path>());
}

}  // namespace
}  // namespace pyracast::testing
