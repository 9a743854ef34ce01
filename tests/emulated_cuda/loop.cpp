// What a video's evaluations ask of a GPU, counted by the emulation: no waiting for all that it has to do, no copies that might wait for it,
// and no pinned memory from the driver.
#include <gmock/gmock.h>

#include "cuda_runtime.h"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

struct Counted {
  int64_t host_allocations, stream_waits, pageable_copies;
  static Counted now() { return {emulated::counts.host_allocations, emulated::counts.stream_waits, emulated::counts.pageable_copies}; }
};

struct EmulatedLoop : testing::Test {
  const TemporaryFolder folder;
  std::unique_ptr<VideoModel> model;
  VideoRequest request;

  void SetUp() override {
    write_tiny_snapshot("latte-1", folder / "snapshot", DEMO_SNAPSHOT);
    model = find_model({"latte-1", folder / "snapshot"});
    request = {.prompt = "A red circle, moving left.", .height = 16, .width = 16, .frames = model->defaults().frames, .fps = 8, .steps = 5, .guidance = 3};
  }
  void TearDown() override { emulated::copies_take = {}; }

  /// The latents that each of the threads makes, which share one GPU and exchange through the host's memory; `counted`: behind each evaluation.
  std::vector<std::vector<float>> latents_of(int ranks, std::vector<Counted>* counted = nullptr) const {
    std::vector<TeamChannels> channels(static_cast<size_t>(ranks));
    auto whole = make_thread_communicators(ranks), host = make_thread_communicators(ranks);
    std::vector<std::vector<float>> latents(static_cast<size_t>(ranks));
    std::vector<std::thread> team;
    for (size_t rank = 0; rank < size_t(ranks); ++rank)
      team.emplace_back([&, rank] {
        const auto backend = make_cuda_backend(0, CudaPrecision::float32);
        TeamChannels own;
        own.whole = ranks == 1 ? make_lone_communicator() : make_staged_communicator(std::move(whole[rank]), *backend);
        own.host = std::move(host[rank]);
        const auto pipeline = model->open(*backend, {}, own);
        PhiloxNoise noise{42, "a", 0};
        VideoRun run{noise};
        run.broadcast = some_reuse();
        run.decodes = false;
        run.agree = [&](Outcome outcome) {
          const Outcome all = agreed(*own.host, outcome);
          if (rank == 0 && counted) counted->push_back(Counted::now());
          return agreed(*own.host, all);   // nobody goes on before it was counted
        };
        const VideoResult result = pipeline->generate(request, run);
        EXPECT_EQ(result.outcome, Outcome::going_on) << result.reason;
        latents[rank] = result.latents;
      });
    for (std::thread& rank : team) rank.join();
    return latents;
  }
};

TEST_F(EmulatedLoop, AloneNeverWaitsForTheWholeStream) {
  std::vector<Counted> counted;
  latents_of(1, &counted);
  ASSERT_EQ(counted.size(), 5u);
  for (size_t i = 1; i < counted.size(); ++i) {
    EXPECT_EQ(counted[i].host_allocations, counted[0].host_allocations) << i;
    EXPECT_EQ(counted[i].stream_waits, counted[0].stream_waits) << i;
    EXPECT_EQ(counted[i].pageable_copies, 0) << i;
  }
}

TEST_F(EmulatedLoop, ThroughTheHostTakesNoPinnedMemoryAfterTheFirstEvaluation) {
  std::vector<Counted> counted;
  latents_of(2, &counted);
  ASSERT_EQ(counted.size(), 5u);
  EXPECT_GT(counted[0].host_allocations, 0);
  for (size_t i = 1; i < counted.size(); ++i) {
    EXPECT_EQ(counted[i].host_allocations, counted[0].host_allocations) << i;
    EXPECT_EQ(counted[i].pageable_copies, 0) << i;
  }
}

TEST_F(EmulatedLoop, GivesTheSameBitsWhereCopiesTakeTheirTime) {
  const std::vector<float> at_once = latents_of(1).front();
  emulated::copies_take = std::chrono::microseconds(300);
  for (const int ranks : {1, 2})
    for (const std::vector<float>& latents : latents_of(ranks)) EXPECT_EQ(latents, at_once) << ranks;
}

}  // namespace
}  // namespace pyracast
