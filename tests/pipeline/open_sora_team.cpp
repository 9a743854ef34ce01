#include <gtest/gtest.h>
#include <omp.h>

#include <thread>

#include "pipeline/video_model.hpp"

namespace pyracast {
namespace {

/// Counts what leaves a rank by all-to-all.
class Recorder final : public Communicator {
 public:
  explicit Recorder(std::unique_ptr<Communicator> team) : team_(std::move(team)) {}
  int64_t calls = 0, bytes = 0;
  int rank() const override { return team_->rank(); }
  int size() const override { return team_->size(); }
  void all_to_all(View in, Counts sent, View out, Counts received) override {
    ++calls;
    bytes += int64_t(size_of(in.dtype)) * (in.size() - sent[size_t(rank())]);
    team_->all_to_all(in, sent, out, received);
  }
  void all_gather(View in, View out, Counts received) override { team_->all_gather(in, out, received); }
  void broadcast(View data, int root) override { team_->broadcast(data, root); }

 private:
  std::unique_ptr<Communicator> team_;
};

/// What a rank sent, as counted between the pipeline and the wire and as planned.
struct Sent {
  int64_t calls = 0, bytes = 0, planned_calls = 0, planned_bytes = 0;
};

/// A team of threads, each with a pipeline of its own, on one request.
std::vector<VideoResult> made_by(int ranks, bool cfg_parallel, const VideoRequest& request, const BroadcastPolicy& policy,
                                    std::vector<Sent>* sent = nullptr) {
  auto whole = make_thread_communicators(ranks);
  std::vector<TeamChannels> channels(static_cast<size_t>(ranks));
  for (int rank = 0; rank < ranks; ++rank) channels[size_t(rank)].whole = std::move(whole[size_t(rank)]);
  for (int half = 0; cfg_parallel && half < 2; ++half) {
    auto tokens = make_thread_communicators(ranks / 2);
    for (int i = 0; i < ranks / 2; ++i) channels[size_t(half * ranks / 2 + i)].tokens = std::move(tokens[size_t(i)]);
  }
  for (int i = 0; cfg_parallel && i < ranks / 2; ++i) {
    auto guidance = make_thread_communicators(2);
    for (int half = 0; half < 2; ++half) channels[size_t(half * ranks / 2 + i)].guidance = std::move(guidance[size_t(half)]);
  }
  std::vector<VideoResult> results(static_cast<size_t>(ranks));
  std::vector<std::thread> team;
  for (int rank = 0; rank < ranks; ++rank)
    team.emplace_back([&, rank] {
      omp_set_num_threads(1);
      const auto backend = make_cpu_backend();
      const auto pipeline = find_model({"opensora-1.2", DEMO_SNAPSHOT, {}})->open(*backend, {}, channels[size_t(rank)]);
      PhiloxNoise noise{42, "a", 0};
      VideoRun run{noise};
      run.broadcast = policy;
      Recorder* recorder = nullptr;
      if (sent) {
        auto& tokens = channels[size_t(rank)].tokens ? channels[size_t(rank)].tokens : channels[size_t(rank)].whole;
        auto recording = std::make_unique<Recorder>(std::move(tokens));
        recorder = recording.get();
        tokens = std::move(recording);
      }
      results[size_t(rank)] = pipeline->generate(request, run);
      if (!sent) return;
      Sent& counted = (*sent)[size_t(rank)] = {recorder->calls, recorder->bytes};
      const VideoPlan plan = pipeline->plan(request, pipeline->schedule(request, policy));
      for (const Exchanges& exchanges : plan.exchanges) counted.planned_calls += exchanges.count();
      for (const int64_t bytes : plan.bytes) counted.planned_bytes += bytes;
    });
  for (std::thread& rank : team) rank.join();
  return results;
}

struct Team {
  const char* name;
  int ranks;
  bool cfg_parallel;
};

void PrintTo(const Team& team, std::ostream* out) { *out << team.name; }

class OpenSoraOnATeam : public testing::TestWithParam<Team> {};

// Odd numbers of tokens, more ranks than frames or than tokens, two clips of which the second continues the first.
TEST_P(OpenSoraOnATeam, GivesTheBitsOfOneRank) {
  const auto [name, ranks, cfg_parallel] = GetParam();
  const BroadcastPolicy pab({{"spatial_broadcast", true}, {"spatial_threshold", {100, 900}}, {"spatial_range", 2},
                             {"cross_broadcast", true}, {"cross_threshold", {100, 900}}, {"cross_range", 3}}, "test");
  Json gate_anew = pab.json();
  gate_anew["stored"] = "ungated";
  const BroadcastPolicy ungated(gate_anew, "test");
  for (const auto& request : {VideoRequest{.prompt = "a red circle moving left", .height = 48, .width = 40, .frames = 17, .steps = 4, .guidance = 3},
                              VideoRequest{.prompt = "a star", .height = 24, .width = 24, .frames = 1, .steps = 3, .guidance = 3},
                              VideoRequest{.prompt = "a star", .height = 16, .width = 16, .frames = 34, .steps = 2, .guidance = 3, .clips = 2}}) {
    for (const BroadcastPolicy& policy : {BroadcastPolicy(), pab, ungated}) {
      const VideoResult alone = made_by(1, false, request, policy).front();
      ASSERT_EQ(alone.outcome, Outcome::going_on) << alone.reason;
      for (const VideoResult& result : made_by(ranks, cfg_parallel, request, policy)) {
        ASSERT_EQ(result.outcome, Outcome::going_on) << result.reason;
        EXPECT_EQ(result.latents, alone.latents);
        EXPECT_EQ(result.video.rgb, alone.video.rgb);
      }
    }
  }
}

// The schedule does reuse stored outputs where tokens rest on the other axis, so that stored outputs move as well.
TEST_P(OpenSoraOnATeam, SendsExactlyWhatWasPlanned) {
  const auto [name, ranks, cfg_parallel] = GetParam();
  const BroadcastPolicy pab({{"spatial_broadcast", true}, {"spatial_threshold", {0, 1000}}, {"spatial_range", 3},
                             {"temporal_broadcast", true}, {"temporal_threshold", {0, 900}}, {"temporal_range", 2}}, "test");
  const VideoRequest request{.prompt = "a star", .height = 48, .width = 40, .frames = 34, .steps = 7, .guidance = 3};
  for (const BroadcastPolicy& policy : {BroadcastPolicy(), pab}) {
    std::vector<Sent> sent(static_cast<size_t>(ranks));
    const auto results = made_by(ranks, cfg_parallel, request, policy, &sent);
    for (int rank = 0; rank < ranks; ++rank) {
      const Sent& own = sent[size_t(rank)];
      EXPECT_EQ(own.calls, own.planned_calls);
      EXPECT_EQ(own.bytes, own.planned_bytes);
      EXPECT_EQ(own.calls > 0, ranks > (cfg_parallel ? 2 : 1));
      int64_t ledger = 0, of_branches = 0;
      for (const EvaluationCost& cost : results[size_t(rank)].evaluations) {
        ledger += cost.all_to_all_bytes;
        for (const int64_t bytes : cost.branch_bytes) of_branches += bytes;
      }
      EXPECT_EQ(ledger, own.bytes);
      EXPECT_EQ(of_branches, own.bytes);
    }
  }
}

TEST(OpenSoraBroadcast, OfRangeOneIsNoneBitForBit) {
  const VideoRequest request{.prompt = "a star", .height = 24, .width = 24, .frames = 17, .steps = 4, .guidance = 3};
  Json one;
  for (const char* kind : {"spatial", "temporal", "cross"}) {
    one[concat(kind, "_broadcast")] = true;
    one[concat(kind, "_range")] = 1;
    one[concat(kind, "_threshold")] = {0, 1000};
  }
  const VideoResult off = made_by(1, false, request, {}).front();
  EXPECT_EQ(made_by(1, false, request, BroadcastPolicy(one, "test")).front().latents, off.latents);
  one["spatial_range"] = 2;
  const std::vector<float> gated = made_by(1, false, request, BroadcastPolicy(one, "test")).front().latents;
  EXPECT_NE(gated, off.latents);
  one["stored"] = "ungated";
  EXPECT_NE(made_by(1, false, request, BroadcastPolicy(one, "test")).front().latents, gated);
}

INSTANTIATE_TEST_SUITE_P(, OpenSoraOnATeam, testing::Values(Team{"Of2", 2, false}, Team{"Of3", 3, false}, Team{"Of4", 4, false},
                                                            Team{"Of5", 5, false}, Team{"Of8", 8, false},
                                                            Team{"Of2HalvedByGuidance", 2, true}, Team{"Of6HalvedByGuidance", 6, true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace pyracast
