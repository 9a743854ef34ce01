// Ranks that are killed or suspended while others wait for them.
#include <gmock/gmock.h>
#include <signal.h>

#include <fstream>

#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::ContainsRegex;

/// Where the job is when a rank is lost, and what the message must say where a rank is only suspended.
struct Loss {
  const char* name;
  int ranks, lost;
  std::vector<std::string> more;
  const char* says;
};
void PrintTo(const Loss& loss, std::ostream* out) { *out << loss.name; }

class LostRank : public GenerateTest, public ::testing::WithParamInterface<Loss> {
 protected:
  static constexpr const char* steps = "100";

  /// The process that logs as this rank.
  static int process_of(const Program& program, int rank) {
    const std::vector<int> children = program.children();
    for (const int child : children) {
      std::ifstream file("/proc/" + std::to_string(child) + "/environ", std::ios::binary);
      for (std::string entry; std::getline(file, entry, '\0');)
        if (entry == "OMPI_COMM_WORLD_RANK=" + std::to_string(rank)) return child;
    }
    return -1;
  }
  std::vector<std::string> words(const std::string& output, const char* timeout) const {
    auto more = GetParam().more;
    more.insert(more.end(), {"--collective-timeout", timeout});
    auto all = command(GetParam().ranks, folder / "prompts.jsonl", output, more);
    *(std::find(all.begin(), all.end(), "--steps") + 1) = steps;
    return all;
  }
  /// Starts the job and does `act` to the rank once the job is in the middle of its work.
  Ended with_rank(int act, int& process, const char* timeout) const {
    Program program(words("lost", timeout), folder / "log");
    EXPECT_TRUE(eventually([&] { return fs::exists(folder / "lost" / "videos") && !fs::is_empty(folder / "lost" / "videos"); }));
    // The kernel's list of children may miss some while others come and go.
    eventually([&] { return (process = process_of(program, GetParam().lost)) > 0 || !program.running(); });
    if (process <= 0) {   // kill(-1) would mean every process there is
      ADD_FAILURE() << "rank " << GetParam().lost << " was not found: " << program.wait().output;
      return {};
    }
    ::kill(process, act);
    EXPECT_TRUE(eventually([&] { return !program.running(); })) << "the job hangs";
    return program.wait();
  }
};

TEST_P(LostRank, ThatIsKilledEndsTheJobAndTheNextRunCompletesIt) {
  manifest(12);
  int process = -1;
  const Ended ended = with_rank(SIGKILL, process, "600");
  EXPECT_NE(ended.code, 0) << ended.output;
  const Ended last = run(words("lost", "600"));
  ASSERT_EQ(last.code, 0) << last.output;
  ASSERT_EQ(run(words("reference", "600")).code, 0);
  EXPECT_EQ(content_of(folder / "lost"), content_of(folder / "reference"));
}

TEST_P(LostRank, ThatIsSuspendedEndsTheJobAndTheMessageSaysWhere) {
  manifest(12);
  int process = -1;
  const Ended ended = with_rank(SIGSTOP, process, "2");
  EXPECT_NE(ended.code, 0);
  EXPECT_THAT(ended.output, ContainsRegex(GetParam().says));
  ASSERT_GT(process, 0);
  EXPECT_TRUE(eventually([&] { return ::kill(process, 0) != 0; })) << "the suspended process lives on";
}

INSTANTIATE_TEST_SUITE_P(
    , LostRank,
    ::testing::Values(Loss{"OfATeam",
                           4,
                           3,
                           {"--ranks-per-video", "2"},
                           "team 1, rank 0, (evaluation [0-9]+ of 100|decoding|encoding the prompt): an? [a-z-]+ has not ended after 2"},
                      Loss{"ThatLeadsATeam",
                           4,
                           2,
                           {"--ranks-per-video", "2"},
                           "team 1, rank 1, (evaluation [0-9]+ of 100|decoding|encoding the prompt): an? [a-z-]+ has not ended after 2"},
                      Loss{"ThatIsATeam", 3, 1, {}, "rank 1 has given no sign of life for 3 s"},
                      Loss{"ThatServesTheQueue", 2, 0, {}, "rank 0 has given no sign of life for 3 s"}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pyracast::testing
