#pragma once
// Videos made by teams of threads, each rank with a pipeline of its own, and what they sent.
#include <gtest/gtest.h>
#include <omp.h>

#include <thread>

#include "pipeline/video_model.hpp"
#include "runtime/team_answer.hpp"
#include "tests/comm/forwarding.hpp"

namespace pyracast {

/// Counts what leaves a rank by all-to-all.
class Recorder final : public Forwarding {
 public:
  using Forwarding::Forwarding;
  int64_t calls = 0, bytes = 0;
  void all_to_all(View in, Counts sent, View out, Counts received) override {
    count(in, sent);
    Forwarding::all_to_all(in, sent, out, received);
  }
  Moment begin_all_to_all(View in, Counts sent, View out, Counts received) override {
    count(in, sent);
    return Forwarding::begin_all_to_all(in, sent, out, received);
  }

 private:
  void count(const View& in, Counts sent) {
    ++calls;
    bytes += int64_t(size_of(in.dtype)) * (in.size() - sent[size_t(rank())]);
  }
};

/// Changes how a rank talks to the others, when its device is open.
using Connect = std::function<void(TeamChannels& own, Backend& backend)>;

/// Tokens are exchanged in turns, as where that goes on beside computing.
inline void exchange_in_turns(TeamChannels& own, Backend&) {
  auto& tokens = own.tokens ? own.tokens : own.whole;
  tokens = std::make_unique<InTurns>(std::move(tokens));
}

/// What a rank sent, as counted between the pipeline and the wire and as planned.
struct Sent {
  int64_t calls = 0, bytes = 0, planned_calls = 0, planned_bytes = 0;
};

/// Spatial and cross attention are reused over most of a short video; `stored`: "gated" or "ungated", else as the family does.
inline BroadcastPolicy some_reuse(const char* stored = nullptr) {
  Json policy{{"spatial_broadcast", true}, {"spatial_threshold", {50, 950}}, {"spatial_range", 2}, {"cross_broadcast", true},
              {"cross_threshold", {50, 950}}, {"cross_range", 4}};
  if (stored) policy["stored"] = stored;
  return BroadcastPolicy(policy, "test");
}

/// The unconditional half of guidance is reused twice in a row and once more, the last time at the end, beside attentions of both halves.
/// A table fits one number of evaluations; at least six.
inline BroadcastPolicy reuse_of_a_half(int evaluations) {
  return BroadcastPolicy({{"steps", evaluations},
                          {"reuse",
                           {{{"branch", "unconditional_half"}, {"evaluations", {2, 3, evaluations - 1}}},
                            {{"branch", "spatial_attention"}, {"evaluations", {1, 3, 4}}},
                            {{"branch", "temporal_attention"}, {"evaluations", {1, 2, 4}}, {"blocks", {0}}}}}},
                         "test");
}

/// The channels of a team of threads; `cfg_parallel`: guidance's halves on its two halves.
inline std::vector<TeamChannels> thread_channels(int ranks, bool cfg_parallel) {
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
  return channels;
}

struct TestTeam {
  const char* name;
  int ranks;
  bool cfg_parallel;
  bool in_turns = false;   ///< tokens are exchanged so

  Connect connect() const { return in_turns ? exchange_in_turns : Connect(); }
};

inline void PrintTo(const TestTeam& team, std::ostream* out) { *out << team.name; }

/// The results of all ranks of a team on one request. `keeper`: of the first rank; all then agree as in a job. `open_device`: each rank's;
/// `look`: at what a rank's device took, which is as planned where the first rank alone takes the frames. `connect`: not of one alone.
inline std::vector<VideoResult> made_by(const VideoModel& model, int ranks, bool cfg_parallel, const VideoRequest& request,
                                        const BroadcastPolicy& policy, std::vector<Sent>* sent = nullptr,
                                        const std::function<void(VideoRun&)>& change = {},
                                        const std::function<void(int rank, Backend& backend)>& look = {},
                                        ProgressKeeper* keeper = nullptr, const TextSource& texts = {},
                                        const std::function<std::unique_ptr<Backend>()>& open_device = [] { return make_cpu_backend(); },
                                        const Connect& connect = {}) {
  std::vector<TeamChannels> channels = thread_channels(ranks, cfg_parallel);
  std::vector<VideoResult> results(static_cast<size_t>(ranks));
  std::vector<std::thread> team;
  for (int rank = 0; rank < ranks; ++rank)
    team.emplace_back([&, rank] {
      omp_set_num_threads(1);
      const auto backend = open_device();
      if (connect && ranks > 1) connect(channels[size_t(rank)], *backend);
      const auto pipeline = model.open(*backend, {}, channels[size_t(rank)], texts);
      PhiloxNoise noise{42, "a", 0};
      VideoRun run{noise};
      run.broadcast = policy;
      run.takes_frames = rank == 0 || !look;
      if (rank == 0) run.keeper = keeper;
      if (keeper) run.agree = [&](Outcome own) { return agreed(*channels[size_t(rank)].whole, own); };
      if (change) change(run);
      Recorder* recorder = nullptr;
      if (sent) {
        auto& tokens = channels[size_t(rank)].tokens ? channels[size_t(rank)].tokens : channels[size_t(rank)].whole;
        auto recording = std::make_unique<Recorder>(std::move(tokens));
        recorder = recording.get();
        tokens = std::move(recording);
      }
      results[size_t(rank)] = pipeline->generate(request, run);
      if (look) look(rank, *backend);
      if (!sent) return;
      Sent& counted = (*sent)[size_t(rank)] = {recorder->calls, recorder->bytes};
      const VideoPlan plan = pipeline->plan(request, pipeline->schedule(request, policy));
      for (const int64_t calls : plan.all_to_alls) counted.planned_calls += calls;
      for (const int64_t bytes : plan.bytes) counted.planned_bytes += bytes;
    });
  for (std::thread& rank : team) rank.join();
  return results;
}

/// The same of a team on the processor.
inline std::vector<VideoResult> made_by(const VideoModel& model, const TestTeam& team, const VideoRequest& request, const BroadcastPolicy& policy,
                                        std::vector<Sent>* sent = nullptr, const std::function<void(VideoRun&)>& change = {},
                                        const std::function<void(int rank, Backend& backend)>& look = {}, ProgressKeeper* keeper = nullptr) {
  const auto open_device = [] { return make_cpu_backend(); };
  return made_by(model, team.ranks, team.cfg_parallel, request, policy, sent, change, look, keeper, {}, open_device, team.connect());
}

/// Every rank gets the video of one rank alone, bit for bit.
inline void expect_the_video_of_one_rank(const VideoModel& model, const TestTeam& team, const VideoRequest& request, const BroadcastPolicy& policy) {
  const VideoResult alone = made_by(model, 1, false, request, policy).front();
  ASSERT_EQ(alone.outcome, Outcome::going_on) << alone.reason;
  for (const VideoResult& result : made_by(model, team, request, policy)) {
    ASSERT_EQ(result.outcome, Outcome::going_on) << result.reason;
    EXPECT_EQ(result.latents, alone.latents);
    EXPECT_EQ(result.video.rgb, alone.video.rgb);
  }
}

/// What leaves each rank is what was planned, and what the ledger and its branches say.
inline void expect_what_was_planned(const VideoModel& model, const TestTeam& team, const VideoRequest& request, const BroadcastPolicy& policy) {
  std::vector<Sent> sent(static_cast<size_t>(team.ranks));
  const auto results = made_by(model, team, request, policy, &sent);
  for (int rank = 0; rank < team.ranks; ++rank) {
    const Sent& own = sent[size_t(rank)];
    EXPECT_EQ(own.calls, own.planned_calls);
    EXPECT_EQ(own.bytes, own.planned_bytes);
    EXPECT_EQ(own.calls > 0, team.ranks > (team.cfg_parallel ? 2 : 1));
    int64_t ledger = 0, of_branches = 0;
    for (const EvaluationCost& cost : results[size_t(rank)].evaluations) {
      ledger += cost.all_to_all_bytes;
      for (const int64_t bytes : cost.branch_bytes) of_branches += bytes;
    }
    EXPECT_EQ(ledger, own.bytes);
    EXPECT_EQ(of_branches, own.bytes);
  }
}

}  // namespace pyracast
