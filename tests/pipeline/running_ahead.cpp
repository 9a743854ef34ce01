// On a device that works beside its caller the host asks for an evaluation while the one before is under way; what becomes of a video is what
// becomes of it on the processor.
#include <gmock/gmock.h>

#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

/// The processor, and the same as a device that works beside its caller, as far as the caller can tell: it takes down what is waited for.
/// The latents behind evaluation `bad`, counted from 1, are not finite.
class Device final : public CpuBackend {
 public:
  Device(bool is_beside, int bad) : CpuBackend(static_cast<CpuBackend&>(*make_cpu_backend()).simd()), is_beside_(is_beside), bad_(bad) {}

  struct Wait {
    int64_t for_moment, last_moment;   // that had been asked for
  };
  std::vector<Wait> waits;
  int64_t moments = 0;
  int downloads = 0, looks = 0;

  void download(View x, void* host) override { ++downloads, CpuBackend::download(x, host); }
  std::function<void(void*)> download_later(View x) override {
    return [this, x, now = ++moments](void* host) {
      waits.push_back({now, moments});
      CpuBackend::download(x, host);
    };
  }
  Moment moment() override {
    Moment now = CpuBackend::moment();
    if (is_beside_) now.event = std::make_shared<int64_t>(++moments);
    return now;
  }
  double seconds(const Moment& from, const Moment& to) override {
    if (is_beside_) waits.push_back({*static_cast<int64_t*>(to.event.get()), moments});
    return CpuBackend::seconds(from, to);
  }
  std::function<bool()> all_finite(View x) override {
    if (++looks == bad_) static_cast<float*>(x.data)[0] = NAN;
    return [this, answer = CpuBackend::all_finite(x), now = ++moments] {
      waits.push_back({now, moments});
      return answer();
    };
  }

 private:
  bool is_beside_;
  int bad_;
};

std::function<std::unique_ptr<Backend>()> opening(bool is_beside, int bad = 0) {
  return [=] { return std::make_unique<Device>(is_beside, bad); };
}

/// Keeps in memory what is saved, after every so many evaluations.
struct Kept final : ProgressKeeper {
  explicit Kept(int every) : every(every) {}
  int every;
  std::vector<VideoProgress> saved;
  std::vector<size_t> outputs;
  bool is_due(int evaluations, double, double) const override { return evaluations >= every; }
  double seconds_to_save(int64_t) const override { return 0; }
  void save(const VideoProgress& progress, const StoredOutputs& stored) noexcept override {
    saved.push_back(progress);
    outputs.push_back(stored.sites.size());
  }
};

constexpr int never = 1000;

void expect_same_ledger(const VideoResult& made, const VideoResult& expected) {
  ASSERT_EQ(made.evaluations.size(), expected.evaluations.size());
  for (size_t i = 0; i < made.evaluations.size(); ++i) {
    const EvaluationCost &own = made.evaluations[i], &other = expected.evaluations[i];
    EXPECT_EQ(own.computed, other.computed) << i;
    EXPECT_EQ(own.all_to_all_bytes, other.all_to_all_bytes) << i;
    EXPECT_EQ(own.branch_bytes, other.branch_bytes) << i;
    EXPECT_EQ(own.gather_bytes, other.gather_bytes) << i;
    EXPECT_GT(own.seconds(), 0) << i;
    for (size_t branch = 0; branch < branch_count; ++branch)
      EXPECT_EQ(own.branches[branch] > 0, own.computed[branch] > 0) << i << ", branch " << branch;
  }
}

struct RunningAhead : FamilyTest {
  static std::vector<BroadcastPolicy> policies() { return {BroadcastPolicy(), some_reuse(), reuse_of_a_half(evaluations())}; }
  static VideoRequest request() { return FamilyTest::request(6); }
  static int evaluations() {
    const auto backend = make_cpu_backend();
    const TeamChannels alone = lone_channels();
    return int(model().open(*backend, {}, alone)->timesteps(request()).size());
  }
  /// Answers before the first evaluation.
  static int answers_before() { return std::string(GetParam()) == "opensora-1.2" ? 1 : 0; }

  static std::vector<VideoResult> made(bool is_beside, int ranks, bool cfg_parallel, const BroadcastPolicy& policy, Kept& keeper, int bad = 0,
                                       const std::function<void(VideoRun&)>& change = {}) {
    return made_by(model(), ranks, cfg_parallel, request(), policy, nullptr, change, {}, &keeper, {}, opening(is_beside, bad));
  }
  /// Asks for a stop behind evaluation `last`, counted from 1.
  static std::function<void(VideoRun&)> stopping(int last) {
    return [last](VideoRun& run) {
      run.agree = [team = run.agree, asked = -answers_before(), last](Outcome own) mutable {
        return team(++asked == last ? std::max(own, Outcome::stopped) : own);
      };
    };
  }
};

TEST_P(RunningAhead, WaitsForNothingNewerThanTheEvaluationBefore) {
  for (const BroadcastPolicy& policy : policies()) {
    Device device(true, 0);
    const TeamChannels alone = lone_channels();
    const auto pipeline = model().open(device, {}, alone);
    PhiloxNoise noise{42, "a", 0};
    VideoRun run{noise};
    run.broadcast = policy;
    run.decodes = false;
    std::vector<int64_t> ends;
    std::vector<int> downloads;
    std::vector<std::vector<Device::Wait>> waits;
    run.agree = [&](Outcome own) {
      ends.push_back(device.moments);
      downloads.push_back(device.downloads);
      waits.push_back(std::exchange(device.waits, {}));
      return own;
    };
    const VideoResult result = pipeline->generate(request(), run);
    ASSERT_EQ(result.outcome, Outcome::going_on) << result.reason;
    const auto before = size_t(answers_before());
    for (size_t i = before; i < ends.size(); ++i) {
      EXPECT_EQ(downloads[i], downloads[before]) << "of evaluation " << i - before;
      const bool is_last = i + 1 == ends.size();
      if (i == before) EXPECT_TRUE(waits[i].empty());
      else EXPECT_FALSE(waits[i].empty());
      for (const Device::Wait& wait : waits[i]) {
        EXPECT_LE(wait.for_moment, ends[is_last ? i : i - 1]) << "of evaluation " << i - before;
        EXPECT_EQ(wait.last_moment, ends[i]) << "evaluation " << i - before << " was not all asked for";
      }
    }
    EXPECT_EQ(ends.size() - before, result.evaluations.size());
  }
}

TEST_P(RunningAhead, WaitsForNothingFromTheEndOfAVideoToTheSecondEvaluationOfTheNext) {
  Device device(true, 0);
  const TeamChannels alone = lone_channels();
  const auto pipeline = model().open(device, {}, alone);
  std::vector<VideoResult> made;
  std::vector<Arrival> arrivals;
  int64_t end_of_video = 0;
  for (uint32_t sample = 0; sample < 3; ++sample) {
    PhiloxNoise noise{42, "a", sample};
    VideoRun run{noise};
    run.decodes = false;
    int asked = -answers_before();
    run.agree = [&](Outcome own) {
      if (asked++ <= 0) {
        EXPECT_EQ(device.downloads, 0) << "till the first evaluation of video " << sample;
        EXPECT_TRUE(device.waits.empty()) << "till the first evaluation of video " << sample;
      } else {
        for (const Device::Wait& wait : device.waits) EXPECT_GT(wait.for_moment, end_of_video) << "for the video before";
      }
      return own;
    };
    made.push_back(pipeline->generate(request(), run));
    ASSERT_EQ(made.back().outcome, Outcome::going_on) << made.back().reason;
    EXPECT_EQ(device.downloads, 1) << "of the latents";
    if (sample > 0) arrivals.back()(made[sample - 1]);
    device.waits.clear();
    device.downloads = 0;
    arrivals.push_back(pipeline->decoding(request(), made.back(), true));
    end_of_video = device.moments;
  }
  arrivals.back()(made.back());
  for (uint32_t sample = 0; sample < 3; ++sample) {
    PhiloxNoise noise{42, "a", sample};
    VideoRun run{noise};
    const VideoResult expected = pipeline->generate(request(), run);
    EXPECT_EQ(made[sample].video.rgb, expected.video.rgb);
    EXPECT_FALSE(expected.video.rgb.empty());
    EXPECT_EQ(made[sample].embedding, expected.embedding);
  }
}

TEST_P(RunningAhead, GivesTheVideosLedgersAndSavesOfTheProcessorOnATeam) {
  for (const BroadcastPolicy& policy : policies())
    for (const TestTeam& team : {TestTeam{"alone", 1, false}, {"two", 2, false}, {"halves", 2, true}}) {
      if (team.cfg_parallel && policy.refusal_of_guidance(request().guidance, true) != "") continue;
      SCOPED_TRACE(team.name);
      const auto keeps = [](VideoRun& run) { run.keeps_step_latents = true; };
      Kept expected_saves(2), saves(2), saves_beside_step_latents(2);
      const auto expected = made(false, team.ranks, team.cfg_parallel, policy, expected_saves, 0, keeps);
      const auto results = made(true, team.ranks, team.cfg_parallel, policy, saves);
      const auto with_step_latents = made(true, team.ranks, team.cfg_parallel, policy, saves_beside_step_latents, 0, keeps);
      for (size_t rank = 0; rank < results.size(); ++rank) {
        EXPECT_EQ(results[rank].latents, expected[rank].latents);
        EXPECT_EQ(results[rank].video.rgb, expected[rank].video.rgb);
        EXPECT_EQ(with_step_latents[rank].step_latents, expected[rank].step_latents);
        expect_same_ledger(results[rank], expected[rank]);
        expect_same_ledger(with_step_latents[rank], expected[rank]);
      }
      EXPECT_EQ(saves.outputs, expected_saves.outputs);
      ASSERT_EQ(saves.saved.size(), expected_saves.saved.size());
      for (size_t i = 0; i < saves.saved.size(); ++i) {
        EXPECT_EQ(saves.saved[i].evaluations, expected_saves.saved[i].evaluations);
        EXPECT_EQ(saves.saved[i].latents.values, expected_saves.saved[i].latents.values);
        expect_same_ledger(saves.saved[i].result, expected_saves.saved[i].result);
      }
    }
}

TEST_P(RunningAhead, SaysBehindWhichEvaluationLatentsAreNotFiniteOnATeam) {
  for (const int ranks : {1, 2})
    for (const int every : {never, 1})
      for (const int bad : {1, evaluations() - 1, evaluations()}) {
        SCOPED_TRACE(concat(ranks, " ranks, bad: ", bad, ", saved every ", every));
        for (const bool is_beside : {false, true}) {
          Kept keeper(every);
          for (const VideoResult& result : made(is_beside, ranks, false, every == 1 ? BroadcastPolicy() : some_reuse(), keeper, bad)) {
            EXPECT_EQ(result.outcome, Outcome::failed);
            EXPECT_EQ(result.reason, concat("the latents are not finite after evaluation ", bad, " of ", evaluations()));
            EXPECT_EQ(result.evaluations.size(), size_t(bad));
          }
          EXPECT_EQ(keeper.saved.size(), size_t(every == 1 ? bad - 1 : 0)) << "what is not finite is not saved";
        }
      }
}

TEST_P(RunningAhead, MakesOneEvaluationInVainBehindLatentsThatAreNotFinite) {
  for (const bool is_beside : {false, true}) {
    Kept keeper(never);
    made_by(model(), 1, false, request(), {}, nullptr, {}, [&](int, Backend& device) {
      EXPECT_EQ(static_cast<Device&>(device).looks, is_beside ? 4 : 3);
    }, &keeper, {}, opening(is_beside, 3));
  }
}

TEST_P(RunningAhead, WhenAskedToStopSavesWhatWasAskedForOnATeam) {
  for (const int ranks : {1, 2}) {
    Kept expected(never), keeper(never);
    const auto on_processor = made(false, ranks, false, some_reuse(), expected, 0, stopping(3));
    const auto results = made(true, ranks, false, some_reuse(), keeper, 0, stopping(3));
    for (size_t rank = 0; rank < results.size(); ++rank) {
      EXPECT_EQ(results[rank].outcome, Outcome::stopped);
      EXPECT_EQ(results[rank].evaluations.size(), 3u);
      expect_same_ledger(results[rank], on_processor[rank]);
    }
    ASSERT_EQ(keeper.saved.size(), expected.saved.size());
    ASSERT_EQ(keeper.saved.size(), 1u);
    EXPECT_EQ(keeper.saved.front().latents.values, expected.saved.front().latents.values);
    EXPECT_EQ(keeper.saved.front().result.evaluations.size(), 3u);
  }
}

TEST_P(RunningAhead, WhenAskedToStopDoesNotSaveLatentsThatAreNotFiniteOnATeam) {
  for (const int ranks : {1, 2})
    for (const int bad : {2, 3}) {
      Kept keeper(never);
      for (const VideoResult& result : made(true, ranks, false, {}, keeper, bad, stopping(3)))
        EXPECT_EQ(result.outcome, bad == 2 ? Outcome::failed : Outcome::stopped);   // of the third nothing is known when all agree
      EXPECT_TRUE(keeper.saved.empty());
    }
}

INSTANTIATE_TEST_SUITE_P(Families, RunningAhead, testing::Values("opensora-1.2", "latte-1", "osp-1.2"), [](const auto& info) {
  std::string name = info.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

}  // namespace
}  // namespace pyracast
