// What a video's evaluations ask of a GPU, counted by the emulation: no waiting for all that it has to do, no copies that might wait for it,
// and no pinned memory from the driver.
#include <gmock/gmock.h>

#include <future>

#include "cuda_runtime.h"
#include "kernels/cuda/cuda_backend.hpp"
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

TEST_F(EmulatedLoop, GoesFromOneVideoToTheNextWithoutWaitingForTheWholeStream) {
  const auto backend = make_cuda_backend(0, CudaPrecision::float32);
  const TeamChannels alone = lone_channels();
  const auto pipeline = model->open(*backend, {}, alone);
  std::vector<Arrival> arrivals;
  std::vector<VideoResult> made;
  std::optional<Counted> before;
  for (uint32_t sample = 0; sample < 4; ++sample) {
    PhiloxNoise noise{42, "a", sample};
    VideoRun run{noise};
    run.decodes = false;
    run.agree = [&](Outcome outcome) {
      if (const auto now = Counted::now(); before) {
        EXPECT_EQ(now.stream_waits, before->stream_waits) << sample;
        EXPECT_EQ(now.pageable_copies, before->pageable_copies) << sample;
        EXPECT_TRUE(sample <= 1 || now.host_allocations == before->host_allocations) << sample;
      }
      before.reset();
      return outcome;
    };
    made.push_back(pipeline->generate(request, run));
    if (sample > 0) std::exchange(arrivals.back(), nullptr)(made[sample - 1]);
    before = Counted::now();
    arrivals.push_back(pipeline->decoding(request, made.back(), true));
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

// What comes before on the stream comes when it is let: nothing leaves earlier.
TEST(EmulatedDepartures, WaitForWhatTheStreamWasAskedBefore) {
  CudaBackend backend(0, CudaPrecision::float32);
  std::vector<float> values((5 << 18) + 3);
  std::iota(values.begin(), values.end(), 0.f);
  const Tensor x(backend, {int64_t(values.size())});
  std::promise<void> gate;
  emulated::later(backend.stream(), [&] { gate.get_future().wait(); });
  backend.upload(values.data(), x.view());
  auto found = std::async(std::launch::async, to_host_later<float>(x));
  EXPECT_EQ(found.wait_for(std::chrono::milliseconds(500)), std::future_status::timeout) << "it came before what it waits for";
  gate.set_value();
  EXPECT_EQ(found.get(), values);
}

// Of two pieces one is emptied while the other is filled.
TEST(EmulatedDepartures, GiveTheSameBytesWhereCopiesTakeTheirTime) {
  CudaBackend backend(0, CudaPrecision::float32);
  std::vector<float> values((9 << 20) + 3);
  std::iota(values.begin(), values.end(), 0.f);
  const Tensor x(backend, {int64_t(values.size())}, values);
  emulated::copies_take = std::chrono::microseconds(2000);
  const int64_t taken_before = emulated::counts.host_allocations;
  EXPECT_EQ(to_host_later<float>(x)(), values);
  const int64_t taken = emulated::counts.host_allocations - taken_before;
  EXPECT_LE(taken, 2) << "two pinned pieces";
  EXPECT_EQ(to_host_later<float>(x)(), values);
  EXPECT_EQ(emulated::counts.host_allocations - taken_before, taken) << "they are used again";
  emulated::copies_take = {};
}

}  // namespace
}  // namespace pyracast
