#include <gtest/gtest.h>
#include <omp.h>

#include <thread>

#include "pipeline/open_sora.hpp"

namespace pyracast {
namespace {

/// A team of threads, each with a pipeline of its own, on one request.
std::vector<OpenSoraResult> made_by(int ranks, bool guidance_parallel, const OpenSoraRequest& request, const BroadcastPolicy& policy) {
  auto whole = make_thread_communicators(ranks);
  std::vector<TeamChannels> channels(static_cast<size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) channels[size_t(rank)].whole = std::move(whole[size_t(rank)]);
  for (int half = 0; guidance_parallel && half < 2; ++half) {
    auto tokens = make_thread_communicators(ranks / 2);
    for (int i = 0; i < ranks / 2; ++i) channels[size_t(half * ranks / 2 + i)].tokens = std::move(tokens[size_t(i)]);
  }
  for (int i = 0; guidance_parallel && i < ranks / 2; ++i) {
    auto guidance = make_thread_communicators(2);
    for (int half = 0; half < 2; ++half) channels[size_t(half * ranks / 2 + i)].guidance = std::move(guidance[size_t(half)]);
  }
  std::vector<OpenSoraResult> results(static_cast<size_t>(ranks));
  std::vector<std::thread> team;
  for (int rank = 0; rank < ranks; ++rank)
    team.emplace_back([&, rank] {
      omp_set_num_threads(1);
      const auto backend = make_cpu_backend();
      OpenSora pipeline(open_snapshot(find_snapshot(DEMO_SNAPSHOT, {}), *backend, {}, rank == 0), *backend, DType::float32,
                        channels[size_t(rank)]);
      PhiloxNoise noise{42, "a", 0};
      OpenSoraRun run{noise};
      run.broadcast = policy;
      results[size_t(rank)] = pipeline.generate(request, run);
    });
  for (std::thread& rank : team) rank.join();
  return results;
}

struct Team {
  const char* name;
  int ranks;
  bool guidance_parallel;
};

class OpenSoraOnATeam : public testing::TestWithParam<Team> {};

// Odd numbers of tokens, more ranks than frames or than tokens, two clips of which the second continues the first.
TEST_P(OpenSoraOnATeam, GivesTheBitsOfOneRank) {
  const auto [name, ranks, guidance_parallel] = GetParam();
  const BroadcastPolicy pab({{"spatial_broadcast", true}, {"spatial_threshold", {100, 900}}, {"spatial_range", 2},
                             {"cross_broadcast", true}, {"cross_threshold", {100, 900}}, {"cross_range", 3}}, "test");
  for (const auto& request : {OpenSoraRequest{.prompt = "a red circle moving left", .height = 48, .width = 40, .frames = 17, .steps = 4, .guidance = 3},
                              OpenSoraRequest{.prompt = "a star", .height = 24, .width = 24, .frames = 1, .steps = 3, .guidance = 3},
                              OpenSoraRequest{.prompt = "a star", .height = 16, .width = 16, .frames = 34, .steps = 2, .guidance = 3, .clips = 2}}) {
    for (const BroadcastPolicy& policy : {BroadcastPolicy(), pab}) {
      const OpenSoraResult alone = made_by(1, false, request, policy).front();
      ASSERT_EQ(alone.outcome, Outcome::going_on) << alone.reason;
      for (const OpenSoraResult& result : made_by(ranks, guidance_parallel, request, policy)) {
        ASSERT_EQ(result.outcome, Outcome::going_on) << result.reason;
        EXPECT_EQ(result.latents, alone.latents);
        EXPECT_EQ(result.video.rgb, alone.video.rgb);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, OpenSoraOnATeam, testing::Values(Team{"Of2", 2, false}, Team{"Of3", 3, false}, Team{"Of4", 4, false},
                                                            Team{"Of5", 5, false}, Team{"Of8", 8, false},
                                                            Team{"Of2HalvedByGuidance", 2, true}, Team{"Of6HalvedByGuidance", 6, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pyracast
