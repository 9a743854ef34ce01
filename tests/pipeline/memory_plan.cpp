// What is planned to be in use is what the CPU's pool then has in use, to the byte.
#include "pipeline/memory_plan.hpp"

#include <gmock/gmock.h>

#include <regex>

#include "kernels/cpu/cpu_backend.hpp"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

/// The most bytes that each rank of a team of threads had in use.
std::vector<int64_t> most_in_use(const VideoModel& model, const VideoRequest& request, const BroadcastPolicy& policy, const TestTeam& team,
                                 ProgressKeeper* keeper = nullptr) {
  std::vector<int64_t> most(static_cast<size_t>(team.ranks));
  const auto results = made_by(model, team, request, policy, nullptr, {}, [&](int rank, Backend& backend) {
    most[size_t(rank)] = int64_t(static_cast<CpuBackend&>(backend).pool().most_in_use());
  }, keeper);
  for (const VideoResult& result : results) EXPECT_EQ(result.outcome, Outcome::going_on) << result.reason;
  return most;
}

struct MemoryPlanOfFamily : FamilyTest {};

TEST_P(MemoryPlanOfFamily, EqualsWhatTheProcessorHasInUseOnATeam) {
  for (const BroadcastPolicy& policy : {BroadcastPolicy(), some_reuse()})
    for (const TestTeam& team : {TestTeam{"alone", 1, false}, {"of two", 2, false}, {"of two in halves", 2, true}, {"of four in halves", 4, true},
                                 {"of two in turns", 2, false, true}, {"of three in turns", 3, false, true},
                                 {"of four in halves, in one turn", 4, true, true}}) {
      const std::vector<int64_t> most = most_in_use(model(), request(), policy, team);
      for (int rank = 0; rank < team.ranks; ++rank) {
        const PlannedRank of{.rank = rank, .ranks = team.ranks, .cfg_parallel = team.cfg_parallel, .overlaps = team.in_turns};
        EXPECT_EQ(plan_memory(model(), {}, request(), policy, of).most_bytes(), most[size_t(rank)])
            << "rank " << rank << ", " << team.name << (policy.enabled() ? ", with reuse" : "");
      }
    }
}

// Of the demo model, whose evaluations take more than its text encoder.
TEST(MemoryPlan, OfEvaluationsEqualsWhatTheyTakeInTurnsAndAtOnceOnATeam) {
  const auto model = find_model({"opensora-1.2", DEMO_SNAPSHOT});
  const VideoRequest request{.prompt = "a star", .height = 48, .width = 48, .frames = 17, .steps = 3, .guidance = 3};
  std::array<int64_t, 2> most{};
  for (const bool in_turns : {false, true}) {
    made_by(
        *model, TestTeam{"", 2, false, in_turns}, request, {}, nullptr, [](VideoRun& run) { run.decodes = false; },
        [&](int rank, Backend& backend) {
          const MemoryPlan plan = plan_memory(*model, {}, request, {}, {.rank = rank, .ranks = 2, .overlaps = in_turns});
          int64_t planned = 0;
          for (const MemoryPlan::Phase& phase : plan.phases)
            if (phase.doing.starts_with("evaluation")) planned = std::max(planned, phase.most_bytes);
          ASSERT_GT(planned, plan.loading_bytes);
          EXPECT_EQ(int64_t(static_cast<CpuBackend&>(backend).pool().most_in_use()), planned) << rank << (in_turns ? " in turns" : "");
          if (rank == 0) most[in_turns] = planned;
        });
  }
  EXPECT_LE(most[true], most[false]) << "a half's tokens take no more on their way than both halves'";
}

// The plan of a run is that of a video of its own size, whatever its rows begin with.
TEST(MemoryPlan, OfAVideoWithAReferenceAsLongAsAClipIsThatWithoutOne) {
  const auto model = find_model({"opensora-1.2", DEMO_SNAPSHOT});
  VideoRequest request{.prompt = "a star", .height = 96, .width = 160, .frames = 51, .steps = 3, .guidance = 3};
  const int64_t without = plan_memory(*model, {}, request, {}, {}).most_bytes();
  request.reference_path = "a.mp4";
  request.mask_strategy = "0";
  const MemoryPlan plan = plan_memory(*model, {}, request, {}, {});
  ASSERT_THAT(plan.phases, testing::Contains(testing::Field(&MemoryPlan::Phase::doing, "encoding the references")));
  EXPECT_LT(std::abs(plan.most_bytes() - without), without / 100);
  const auto backend = make_cpu_backend();
  const TeamChannels alone = lone_channels();
  const auto pipeline = model->open(*backend, {}, alone);
  PhiloxNoise noise{0, "", 0};
  VideoRun run{noise};
  run.read_reference = blank_reference;
  EXPECT_EQ(pipeline->generate(request, run).outcome, Outcome::going_on);
  EXPECT_EQ(int64_t(static_cast<CpuBackend&>(*backend).pool().most_in_use()), plan.most_bytes());
}

TEST_P(MemoryPlanOfFamily, FollowsHalvesOfGuidanceThatAreEvaluatedOneAfterTheOtherOnATeam) {
  const VideoRequest request = this->request(7);
  const BroadcastPolicy policy = reuse_of_a_half(int(made_by(model(), 1, false, request, {}).front().evaluations.size()));
  for (const int ranks : {1, 2}) {
    const std::vector<int64_t> most = most_in_use(model(), request, policy, {"", ranks, false});
    for (int rank = 0; rank < ranks; ++rank)
      EXPECT_EQ(plan_memory(model(), {}, request, policy, {rank, ranks, false}).most_bytes(), most[size_t(rank)])
          << "rank " << rank << " of " << ranks;
  }
}

TEST_P(MemoryPlanOfFamily, CountsSharedWeightsApart) {
  const auto backend_of = [&](SharedWeights& shared) {
    auto backend = make_cpu_backend();
    const TeamChannels alone = lone_channels();
    const auto pipeline = model().open(*backend, {{}, &shared}, alone);
    PhiloxNoise noise{0, "", 0};
    VideoRun run{noise};
    EXPECT_EQ(pipeline->generate(request(), run).outcome, Outcome::going_on);
    return backend;
  };
  const auto most_of = [](const Backend& backend) { return int64_t(static_cast<const CpuBackend&>(backend).pool().most_in_use()); };
  LaidDownWeights laid_down;
  PlannedWeights planned(false), planned_to_be_found(true);
  const auto first = backend_of(laid_down);
  FoundWeights found(laid_down.publish());
  const auto second = backend_of(found);
  const MemoryPlan plan = plan_memory(model(), {{}, &planned}, request(), {}, {});
  EXPECT_EQ(plan.most_bytes(), most_of(*first));
  EXPECT_EQ(planned.bytes(), laid_down.bytes());
  EXPECT_EQ(plan_memory(model(), {{}, &planned_to_be_found}, request(), {}, {}).most_bytes(), most_of(*second));
  EXPECT_GT(plan_memory(model(), {}, request(), {}, {}).weight_bytes, 10 * plan.weight_bytes) << "nearly all weights are shared";
}

// What evaluations allocate comes back from the device's pool: after the first video of a size the system is asked for nothing.
TEST_P(MemoryPlanOfFamily, IsTakenFromTheSystemOnceForAllVideosOfASize) {
  for (const BroadcastPolicy& policy : {BroadcastPolicy(), some_reuse()}) {
    const auto backend = make_cpu_backend();
    const TeamChannels alone = lone_channels();
    const auto pipeline = model().open(*backend, {}, alone);
    const auto blocks_made = [&] { return static_cast<const CpuBackend&>(*backend).pool().blocks_made(); };
    const auto generate = [&] {
      PhiloxNoise noise{0, "", 0};
      VideoRun run{noise};
      run.broadcast = policy;
      std::vector<size_t> after_evaluations;
      run.agree = [&](Outcome own) {
        after_evaluations.push_back(blocks_made());
        return own;
      };
      EXPECT_EQ(pipeline->generate(request(), run).outcome, Outcome::going_on);
      return after_evaluations;
    };
    const size_t weights = blocks_made();
    generate();
    const size_t first_video = blocks_made();
    EXPECT_GT(first_video, weights);
    const std::vector<size_t> second = generate();
    EXPECT_GE(second.size(), 5u);
    EXPECT_THAT(second, testing::Each(first_video));
    EXPECT_EQ(blocks_made(), first_video);
  }
}

TEST_P(MemoryPlanOfFamily, CountsWhatIsGatheredToSaveStoredOutputsOnATeam) {
  struct Always final : ProgressKeeper {
    int outputs = 0;
    bool is_due(int, double, double) const override { return true; }
    double seconds_to_save(int64_t) const override { return 0; }
    void save(const VideoProgress&, const StoredOutputs& stored) noexcept override {
      for (size_t i = 0; i < stored.sites.size(); ++i, ++outputs) stored.next();
    }
  };
  for (const TestTeam& team : {TestTeam{"alone", 1, false}, {"of three", 3, false}, {"of four in halves", 4, true},
                               {"of three in turns", 3, false, true}}) {
    Always keeper;
    const std::vector<int64_t> most = most_in_use(model(), request(), some_reuse(), team, &keeper);
    EXPECT_GT(keeper.outputs, 0);
    for (int rank = 0; rank < team.ranks; ++rank) {
      const PlannedRank of{.rank = rank, .ranks = team.ranks, .cfg_parallel = team.cfg_parallel, .saves = true, .overlaps = team.in_turns};
      EXPECT_EQ(plan_memory(model(), {}, request(), some_reuse(), of).most_bytes(), most[size_t(rank)]) << "rank " << rank << ", " << team.name;
    }
  }
}

TEST_P(MemoryPlanOfFamily, SaysWhatEachPhaseTakes) {
  const MemoryPlan plan = plan_memory(model(), {}, request(), {}, {}), reusing = plan_memory(model(), {}, request(), some_reuse(), {});
  ASSERT_GE(plan.phases.size(), 3u);
  EXPECT_EQ(plan.phases.front().doing, "encoding the prompt");
  EXPECT_EQ(plan.phases.back().doing, "decoding");
  EXPECT_GT(plan.weight_bytes, 0);
  EXPECT_GE(plan.loading_bytes, plan.weight_bytes);
  for (const MemoryPlan::Phase& phase : plan.phases) EXPECT_GT(phase.most_bytes, plan.weight_bytes) << phase.doing;
  const auto most_of_evaluations = [](const MemoryPlan& of) {
    int64_t most = 0;
    for (const MemoryPlan::Phase& phase : of.phases)
      if (phase.doing.starts_with("evaluation")) most = std::max(most, phase.most_bytes);
    return most;
  };
  EXPECT_GT(most_of_evaluations(reusing), most_of_evaluations(plan)) << "stored outputs take memory";
}

INSTANTIATE_TEST_SUITE_P(Families, MemoryPlanOfFamily, testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& info) { return std::regex_replace(std::string(info.param), std::regex("[^a-z0-9]"), "_"); });

}  // namespace
}  // namespace pyracast
