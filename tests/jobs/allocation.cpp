// What a batch system asks of `pyracast generate`: to end in time, to stop on the signals it is told to, and to make a part.
#include <gmock/gmock.h>

#include <csignal>
#include <ctime>

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::HasSubstr;

class Allocation : public GenerateTest {
 protected:
  size_t videos(const std::string& output) const {
    size_t count = 0;
    for (const auto& [name, content] : content_of(folder / output)) count += name.ends_with(".mp4");
    return count;
  }
  /// The command in an allocation of Slurm's that ends in so many seconds.
  std::vector<std::string> ending_in(int seconds, std::vector<std::string> command) const {
    const std::string end = std::to_string(std::time(nullptr) + seconds);
    command.insert(command.begin(), {"env", "SLURM_JOB_ID=7", "SLURM_RESTART_COUNT=2", "SLURM_JOB_END_TIME=" + end});
    return command;
  }
};

TEST_F(Allocation, BeginsNoVideoWhereItsEndIsAtTheDoor) {
  const auto prompts = manifest(4);
  const Ended late = run(ending_in(50, command(2, prompts, "out")));   // of which walltime-reserve takes 60
  EXPECT_EQ(late.code, 75) << late.output;
  EXPECT_EQ(videos("out"), 0u);
  const Ended early = run(ending_in(100000, command(2, prompts, "out")));
  EXPECT_EQ(early.code, 0) << early.output;
  ASSERT_EQ(run(command(1, prompts, "reference")).code, 0);
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "reference"));
}

// More than any machine makes in that time.
TEST_F(Allocation, IsLeftInTimeWithEverythingDurable) {
  const auto prompts = manifest(400);
  for (const int ranks : {1, 4}) {
    const std::string output = "on-" + std::to_string(ranks);
    auto more = std::vector<std::string>{"--steps", "50", "--max-walltime", "4"};
    if (ranks == 4) more.insert(more.end(), {"--ranks-per-video", "2"});
    const Ended ended = run(command(ranks, prompts, output, more));
    EXPECT_EQ(ended.code, 75) << ended.output;
    EXPECT_LT(videos(output), 400u);
    EXPECT_THAT(read_text(folder / output / "logs" / "rank-0.log"), HasSubstr("s are left"));
  }
}

TEST_F(Allocation, IsWrittenDownWithItsRestarts) {
  const auto prompts = manifest(1);
  ASSERT_EQ(run(command(1, prompts, "out")).code, 0);
  ASSERT_EQ(run(ending_in(100000, command(2, prompts, "out"))).code, 0);
  const auto attempts = nlohmann::json::parse(read_text(folder / "out" / "run.json"))["attempts"];
  ASSERT_EQ(attempts.size(), 2u);
  EXPECT_FALSE(attempts[0].contains("slurm"));
  EXPECT_EQ(attempts[1]["attempt"], 1);
  EXPECT_EQ(attempts[1]["ranks"], 2);
  EXPECT_EQ(attempts[1]["slurm"]["SLURM_JOB_ID"], "7");
  EXPECT_EQ(attempts[1]["slurm"]["SLURM_RESTART_COUNT"], 2);
}

TEST_F(Allocation, IsGivenBackOnEachOfTheStopSignals) {
  const auto prompts = manifest(8);
  for (const int signal : {SIGTERM, SIGUSR1, SIGUSR2, SIGHUP}) {
    const std::string output = "by-" + std::to_string(signal);
    Program program(command(0, prompts, output, {"--steps", "50"}), folder / "log");
    ASSERT_TRUE(eventually([&] { return fs::exists(folder / output / "videos") && !fs::is_empty(folder / output / "videos"); }));
    program.signal(signal);
    EXPECT_EQ(program.wait().code, 75) << signal;
  }
}

TEST_F(Allocation, LeavesSignalsToOthersThatItIsNotToStopOn) {
  Program program(command(0, manifest(8), "out", {"--steps", "50", "--stop-signals", "USR2,TERM"}), folder / "log");
  ASSERT_TRUE(eventually([&] { return fs::exists(folder / "out" / "videos") && !fs::is_empty(folder / "out" / "videos"); }));
  EXPECT_TRUE(program.catches(SIGUSR2));
  EXPECT_TRUE(program.catches(SIGTERM));
  EXPECT_FALSE(program.catches(SIGUSR1));
  program.signal(SIGUSR2);
  EXPECT_EQ(program.wait().code, 75);
}

TEST_F(Allocation, MakesEachPromptInOnePart) {
  const auto prompts = manifest(12);
  ASSERT_EQ(run(command(2, prompts, "whole")).code, 0);
  std::map<std::string, std::string> parts;
  size_t sum = 0;
  for (const char* const part : {"0/3", "1/3", "2/3"}) {
    const std::string output = std::string("part-") + part[0];
    const Ended ended = run(command(1, prompts, output, {"--part", part}));
    ASSERT_EQ(ended.code, 0) << ended.output;
    const auto content = content_of(folder / output);
    sum += content.size();
    parts.insert(content.begin(), content.end());
  }
  EXPECT_EQ(parts, content_of(folder / "whole"));
  EXPECT_EQ(sum, parts.size());
}

class AllocationRefuses : public GenerateTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(AllocationRefuses, WithOneLineThatSaysWhatToDo) { expect_refusal(command(2, manifest(1), "out"), GetParam()); }

INSTANTIATE_TEST_SUITE_P(, AllocationRefuses, ::testing::Values(
    Refusal{"NegativeTime", {"--max-walltime", "-1"}, {"max-walltime", "must not be negative"}},
    Refusal{"UnknownSignal", {"--stop-signals", "HUP"}, {"stop-signals names \"HUP\"", "TERM, USR1, USR2"}},
    Refusal{"PartBeyondTheLast", {"--part", "3/3"}, {"part is \"3/3\"", "0 to N - 1"}},
    Refusal{"PartOfNothing", {"--part", "first"}, {"part is \"first\"", "K/N"}}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pyracast::testing
