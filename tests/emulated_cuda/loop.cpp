// What a video's evaluations ask of a GPU, counted by the emulation: no waiting for all that it has to do, no copies that might wait for it,
// and no pinned memory from the driver.
#include <gmock/gmock.h>

#include <future>

#include "cuda_runtime.h"
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/planning_backend.hpp"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

struct Counted {
  int64_t host_allocations, stream_waits, pageable_copies, to_pinned, from_pinned;
  static Counted now() {
    const emulated::Counts& counts = emulated::counts;
    return {counts.host_allocations, counts.stream_waits, counts.pageable_copies, counts.to_pinned, counts.from_pinned};
  }
};

struct EmulatedLoop : testing::Test {
  const TemporaryFolder folder;
  std::unique_ptr<VideoModel> model;
  VideoRequest request;

  void SetUp() override { use("latte-1"); }
  void use(const std::string& family) {
    const std::filesystem::path snapshot = family == "opensora-1.2" ? std::filesystem::path(DEMO_SNAPSHOT) : folder / family;
    if (!std::filesystem::exists(snapshot)) write_tiny_snapshot(family, snapshot, DEMO_SNAPSHOT);
    model = find_model({family, snapshot});
    request = {
        .prompt = "A red circle, moving left.", .height = 16, .width = 16, .frames = model->defaults().frames, .fps = 8, .steps = 5, .guidance = 3};
  }
  void TearDown() override { emulated::copies_take = emulated::copies_beside_take = std::chrono::microseconds(0); }

  /// The latents that each of the threads makes, which share one GPU and exchange through the host's memory; `counted`: behind each evaluation.
  std::vector<std::vector<float>> latents_of(int ranks, std::vector<Counted>* counted = nullptr, OutputPlace stored_outputs = OutputPlace::device,
                                             const BroadcastPolicy& policy = some_reuse()) const {
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
        run.broadcast = policy;
        run.stored_outputs = stored_outputs;
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

TEST_F(EmulatedLoop, WithOutputsInTheHostsMemoryGivesTheSameBitsWhereCopiesTakeTheirTime) {
  struct Case {
    const char* family;
    int ranks;
    BroadcastPolicy policy;
  };
  for (const auto& [family, ranks, policy] :
       {Case{"latte-1", 1, some_reuse()}, {"latte-1", 2, reuse_of_a_half(6)}, {"opensora-1.2", 2, some_reuse()}}) {
    use(family);
    request.steps = 6;
    request.frames = 5;
    emulated::copies_beside_take = std::chrono::microseconds(0);
    const std::vector<float> at_once = latents_of(1, nullptr, OutputPlace::device, policy).front();
    emulated::copies_beside_take = std::chrono::milliseconds(150);   // longer than what is computed meanwhile
    for (const std::vector<float>& latents : latents_of(ranks, nullptr, OutputPlace::host, policy))
      EXPECT_EQ(latents, at_once) << family << ", " << ranks;
  }
}

TEST_F(EmulatedLoop, CopiesEachOutputToTheHostOnceAndBackOnceForEachReuse) {
  use("opensora-1.2");
  request.frames = 9;
  PlanningBackend nothing;
  const TeamChannels alone = planning_channels(0, 1, false, {});
  const auto pipeline = model->open(nothing, {}, alone);
  const BroadcastSchedule schedule = pipeline->schedule(request, some_reuse());
  int64_t stored = 0, reused = 0;
  for (int e = 0; e < schedule.evaluations(); ++e)
    for (int block = 0; block < schedule.blocks(); ++block)
      for (const Branch branch : pipeline->branches()) {
        const Site site{branch, block};
        reused += schedule.reuses(e, site);
        stored += !schedule.reuses(e, site) && schedule.needed_after(e, site);
      }
  ASSERT_GT(reused, stored);
  ASSERT_GT(stored, 0);
  const auto copies_with = [&](OutputPlace place) {
    const Counted before = Counted::now();
    latents_of(1, nullptr, place);
    const Counted after = Counted::now();
    return std::pair(after.to_pinned - before.to_pinned, after.from_pinned - before.from_pinned);
  };
  const auto [to_host, from_host] = copies_with(OutputPlace::host);
  const auto [others_to_host, others_from_host] = copies_with(OutputPlace::device);
  EXPECT_EQ(to_host - others_to_host, stored);
  EXPECT_EQ(from_host - others_from_host, reused);
}

TEST_F(EmulatedLoop, WithOutputsInTheHostsMemoryNeverWaitsForTheWholeStream) {
  use("opensora-1.2");
  request.frames = 5;
  request.frames = 9;
  emulated::copies_take = emulated::copies_beside_take = std::chrono::microseconds(300);
  for (const int ranks : {1, 2}) {
    std::vector<Counted> counted;
    latents_of(ranks, &counted, OutputPlace::host);
    ASSERT_GE(counted.size(), 5u);
    for (size_t i = 2; i < counted.size(); ++i) {
      EXPECT_EQ(counted[i].host_allocations, counted[1].host_allocations) << i;
      EXPECT_TRUE(ranks > 1 || counted[i].stream_waits == counted[1].stream_waits) << i;
      EXPECT_EQ(counted[i].pageable_copies, 0) << i;
    }
  }
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
  emulated::copies_take = std::chrono::microseconds(0);
}

}  // namespace
}  // namespace pyracast
