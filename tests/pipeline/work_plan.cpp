// What is counted beforehand is what a run then counts, and what the networks' shapes say.
#include "pipeline/work_plan.hpp"

#include <regex>

#include "kernels/planning_backend.hpp"
#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

struct WorkPlanOfFamily : FamilyTest {
  static VideoWork work(const VideoRequest& of, const BroadcastPolicy& policy = {}, PlannedRank rank = {}) {
    return plan_work(model(), {}, of, policy, rank).work;
  }
  static const PhaseWork& at(const VideoWork& work, MakingPhase phase) { return work[size_t(phase)]; }
};

TEST_P(WorkPlanOfFamily, CountsWhatARunCountsOnATeam) {
  for (const TestTeam& team : {TestTeam{"alone", 1, false}, {"of two", 2, false}, {"in halves", 2, true}, {"in turns", 2, false, true}}) {
    const auto results = made_by(model(), team, request(), some_reuse());
    const VideoWork planned = work(request(), some_reuse(), {.ranks = team.ranks, .cfg_parallel = team.cfg_parallel, .overlaps = team.in_turns});
    double attentions = 0, exchanges = 0, bytes = 0;
    for (const EvaluationCost& evaluation : results.front().evaluations) {
      attentions += double(evaluation.computed[size_t(Branch::spatial_attention)]);
      exchanges += double(evaluation.all_to_alls);
      bytes += double(evaluation.all_to_all_bytes + evaluation.gather_bytes);
    }
    EXPECT_EQ(at(planned, MakingPhase::spatial_attention).calls, attentions);
    EXPECT_EQ(at(planned, MakingPhase::other).calls, double(results.front().evaluations.size()));
    EXPECT_EQ(at(planned, MakingPhase::communication), (PhaseWork{exchanges, bytes})) << team.name;
  }
}

// How long a reference is, no plan knows: as long as a clip, so that all of it is there.
TEST(WorkPlan, CountsTheEncodingOfReferencesWithTheVaesWork) {
  const auto model = find_model({"opensora-1.2", DEMO_SNAPSHOT});
  VideoRequest request{.prompt = "a star", .height = 48, .width = 48, .frames = 34, .steps = 2, .guidance = 3};
  const auto work = [&](MakingPhase phase) { return plan_work(*model, {}, request, {}, {}).work[size_t(phase)]; };
  const PhaseWork text = work(MakingPhase::text), decode = work(MakingPhase::decode), other = work(MakingPhase::other);
  request.reference_path = "a.mp4";
  request.mask_strategy = "0,0,-5,0,5";
  EXPECT_EQ(work(MakingPhase::text), text);
  EXPECT_GT(work(MakingPhase::decode).work, decode.work);
  EXPECT_EQ(work(MakingPhase::other).calls, other.calls);
}

TEST_P(WorkPlanOfFamily, CountsEachHalfOfGuidanceWhereTheyAreEvaluatedOneAfterTheOtherOnATeam) {
  const VideoRequest of = request(7);
  const VideoResult whole = made_by(model(), 1, false, of, {}).front();
  const BroadcastPolicy policy = reuse_of_a_half(int(whole.evaluations.size()));
  const VideoWork batch = work(of);
  for (const int ranks : {1, 2}) {
    const VideoResult result = made_by(model(), ranks, false, of, policy).front();
    const VideoWork planned = work(of, policy, {0, ranks, false});
    double mlps = 0, exchanges = 0, bytes = 0;
    for (const EvaluationCost& evaluation : result.evaluations) {
      mlps += double(evaluation.computed[size_t(Branch::spatial_mlp)] + evaluation.computed[size_t(Branch::temporal_mlp)]);
      exchanges += double(evaluation.all_to_alls);
      bytes += double(evaluation.all_to_all_bytes + evaluation.gather_bytes);
    }
    EXPECT_EQ(at(planned, MakingPhase::mlp).calls, mlps);
    EXPECT_EQ(at(planned, MakingPhase::communication), (PhaseWork{exchanges, bytes})) << ranks;
    if (ranks > 1) continue;
    // Three halves are left out, and nothing else of an MLP.
    const double count = double(result.evaluations.size());
    EXPECT_EQ(mlps, (2 * count - 3) / count * at(batch, MakingPhase::mlp).calls);
    EXPECT_DOUBLE_EQ(at(planned, MakingPhase::mlp).work, (2 * count - 3) / (2 * count) * at(batch, MakingPhase::mlp).work);
  }
}

TEST_P(WorkPlanOfFamily, WorkOfBranchesGoesWithTheTimesTheyAreComputed) {
  const VideoWork whole = work(request()), reusing = work(request(), some_reuse());
  for (const MakingPhase phase : {MakingPhase::spatial_attention, MakingPhase::mlp}) {
    EXPECT_GT(at(whole, phase).work, 0);
    EXPECT_NEAR(at(reusing, phase).work / at(reusing, phase).calls, at(whole, phase).work / at(whole, phase).calls, 1e-6 * at(whole, phase).work);
  }
  EXPECT_LT(at(reusing, MakingPhase::spatial_attention).calls, at(whole, MakingPhase::spatial_attention).calls);
  EXPECT_EQ(at(reusing, MakingPhase::other), at(whole, MakingPhase::other));
  EXPECT_GE(at(whole, MakingPhase::other).work, 0);
  EXPECT_EQ(at(reusing, MakingPhase::decode), at(whole, MakingPhase::decode));
  EXPECT_GT(at(whole, MakingPhase::decode).work, 0);
  EXPECT_GT(at(whole, MakingPhase::text).work, 0);
}

TEST_P(WorkPlanOfFamily, TwiceTheWidthIsTwiceTheMlpAndMoreThanTwiceTheAttention) {
  VideoRequest wide = request();
  wide.width *= 2;
  const VideoWork whole = work(request()), larger = work(wide);
  EXPECT_DOUBLE_EQ(at(larger, MakingPhase::mlp).work, 2 * at(whole, MakingPhase::mlp).work);
  EXPECT_GT(at(larger, MakingPhase::spatial_attention).work, 2 * at(whole, MakingPhase::spatial_attention).work);
  EXPECT_EQ(at(larger, MakingPhase::rest).work, 2 * at(whole, MakingPhase::rest).work);
}

TEST_P(WorkPlanOfFamily, TwoHalvesShareTheMlpEvenly) {
  const VideoWork alone = work(request()), half = work(request(), {}, {0, 2, true});
  EXPECT_DOUBLE_EQ(2 * at(half, MakingPhase::mlp).work, at(alone, MakingPhase::mlp).work);
  EXPECT_EQ(at(half, MakingPhase::mlp).calls, at(alone, MakingPhase::mlp).calls);
}

INSTANTIATE_TEST_SUITE_P(Families, WorkPlanOfFamily, testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& info) { return std::regex_replace(std::string(info.param), std::regex("[^a-z0-9]"), "_"); });

TEST(PlanningBackend, CountsMultiplyAdds) {
  PlanningBackend backend;
  const auto view = [](Shape shape) { return View{nullptr, DType::float32, std::move(shape)}; };
  const PackedWeights weight = backend.pack_exactly(view({5, 3}));
  backend.linear(view({7, 3}), weight, nullptr, Activation::none, view({7, 5}));
  EXPECT_EQ(backend.multiply_adds(), 7 * 3 * 5);
  backend.attention(view({2, 4, 3, 8}), view({2, 6, 3, 8}), view({2, 6, 3, 8}), 1, nullptr, {}, view({2, 4, 3, 8}));
  EXPECT_EQ(backend.multiply_adds(), 7 * 3 * 5 + 2 * (2 * 4 * 3 * 8) * 6);
  const std::vector<KeyRange> keys{{0, 2}, {2, 7}};
  backend.attention(view({2, 4, 3, 8}), view({1, 7, 3, 8}), view({1, 7, 3, 8}), 1, nullptr, keys, view({2, 4, 3, 8}));
  EXPECT_EQ(backend.multiply_adds(), 7 * 3 * 5 + 2 * (2 * 4 * 3 * 8) * 6 + 2 * (4 * 3 * 8) * (2 + 5));
  const PackedWeights kernel = backend.pack_exactly(view({6, 3, 3, 3, 4}));
  const double before = backend.multiply_adds();
  backend.convolution(view({1, 5, 5, 5, 4}), kernel, nullptr, {{3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}}, view({1, 5, 5, 5, 6}));
  EXPECT_EQ(backend.multiply_adds() - before, 125.0 * 6 * 27 * 4);
}

}  // namespace
}  // namespace pyracast
