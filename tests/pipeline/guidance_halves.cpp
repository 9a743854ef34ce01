// Halves of guidance that are evaluated one after the other: the bits of both in one batch, and what is left out of them.
#include "pipeline/guidance_halves.hpp"

#include <gmock/gmock.h>

#include <regex>

#include "tests/pipeline/family_test.hpp"
#include "tests/pipeline/on_a_team.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// A network whose outputs are numbers, [halves, 1], so that all of it can be reckoned by hand.
struct ByHand : testing::Test {
  const std::unique_ptr<Backend> backend = make_cpu_backend();
  const TeamChannels alone = lone_channels();
  PhiloxNoise noise{0, "", 0};
  VideoRun run{noise};
  std::vector<std::string> calls;

  static VideoPlan plan(const BroadcastSchedule& schedule) {
    return plan_halves(schedule, 2, [](const BroadcastSchedule& of_run, int64_t batch) {
      return plan_video(of_run, TokenPlan(of_run, {}, Axis::space), TokenParts{batch, 1, 1, 1}, 0, 4, Axis::space);
    });
  }
  /// The prediction at each evaluation: the prompt's half gives 10, 11, 13, 16, 20; the other one 1, 2, 3, 4, 5.
  std::vector<float> predictions(const BroadcastSchedule& schedule, int64_t conditional, float guidance) {
    constexpr float prompts[] = {10, 11, 13, 16, 20};
    GuidanceHalves halves(alone, schedule, plan(schedule), run, StoredOutput::gated, 2, conditional);
    std::vector<float> all;
    for (int e = 0; e < schedule.evaluations(); ++e) {
      halves.begin(e);
      const auto predict = [&](GuidanceHalves::Part& part) {
        std::vector<float> values;
        for (int64_t half = part.first; half < part.last; ++half) values.push_back(half == conditional ? prompts[e] : float(e + 1));
        calls.push_back(concat(e, part.unconditional ? "u" : "", part.run.cached.evaluation()));
        return Tensor(*backend, {part.last - part.first, 1}, values);
      };
      all.push_back(halves(guidance, predict).to_host().front());
      EXPECT_EQ(halves.difference().empty(), e + 1 == schedule.evaluations() || !schedule.reuses_unconditional_half(e + 1)) << e;
    }
    return all;
  }
};

TEST_F(ByHand, AddWhatGuidanceAddedLast) {
  BroadcastSchedule schedule(5, 0);
  for (const int e : {1, 2, 4}) schedule.set_reuse_of_unconditional_half(e, true);
  for (const int64_t conditional : {0, 1}) {
    calls.clear();
    EXPECT_THAT(predictions(schedule, conditional, 3), ElementsAre(1 + 3 * 9, 11 + 2 * 9, 13 + 2 * 9, 4 + 3 * 12, 20 + 2 * 12));
    EXPECT_THAT(calls, ElementsAre("00", "0u0", "11", "22", "33", "3u1", "44"));
  }
}

TEST_F(ByHand, ShowWhatGuidanceAddsWhereBothAreThere) {
  std::vector<float> shown;
  run.guidance_listener = [&](const Tensor& difference) { shown.push_back(difference.to_host().front()); };
  BroadcastSchedule schedule(5, 0);
  predictions(schedule, 1, 3);
  EXPECT_THAT(shown, ElementsAre(9, 9, 10, 12, 15));
  EXPECT_THAT(calls, ElementsAre("00", "11", "22", "33", "44"));
  shown.clear();
  schedule.set_reuse_of_unconditional_half(1, true);
  predictions(schedule, 1, 3);
  EXPECT_THAT(shown, ElementsAre(9, 10, 12, 15));
}

struct HalvesOfFamily : FamilyTest {
  static VideoResult made(const BroadcastPolicy& policy) {
    return made_by(model(), 1, false, request(7), policy, nullptr, [](VideoRun& run) { run.keeps_step_latents = true; }).front();
  }
  static int evaluations() {
    static std::map<std::string, int> known;
    int& count = known[GetParam()];
    return count ? count : count = int(made({}).evaluations.size());
  }
};

/// Reuse of branches from the first evaluations on, and of the half in the last one but one alone (PNDM's last one has no effect).
Json table(int evaluations, bool of_half) {
  Json table{{"steps", evaluations},
             {"reuse", {{{"branch", "spatial_attention"}, {"evaluations", {1, 2, 4}}}, {{"branch", "spatial_mlp"}, {"evaluations", {3}}}}}};
  if (of_half) table["reuse"].push_back({{"branch", "unconditional_half"}, {"evaluations", {evaluations - 2}}});
  return table;
}

TEST_P(HalvesOfFamily, GiveTheBitsOfTheirBatchUntilOneIsLeftOut) {
  const VideoResult batch = made(BroadcastPolicy(table(evaluations(), false), "test")),
                    apart = made(BroadcastPolicy(table(evaluations(), true), "test"));
  ASSERT_EQ(apart.outcome, Outcome::going_on) << apart.reason;
  const size_t before = batch.step_latents.size() - 2 * batch.latents.size();
  EXPECT_TRUE(std::equal(batch.step_latents.begin(), batch.step_latents.begin() + long(before), apart.step_latents.begin()));
  EXPECT_NE(batch.latents, apart.latents);
  for (size_t e = 0; e < batch.evaluations.size(); ++e)
    for (size_t branch = 0; branch < branch_count; ++branch)
      EXPECT_EQ(apart.evaluations[e].computed[branch], batch.evaluations[e].computed[branch] * (e + 2 == batch.evaluations.size() ? 1 : 2)) << e;
}

TEST_P(HalvesOfFamily, OnATeamGiveTheBitsOfOneRankAndSendWhatWasPlanned) {
  const BroadcastPolicy policy = reuse_of_a_half(evaluations());
  for (const TestTeam& team : {TestTeam{"", 2, false}, {"", 3, false}, {"", 8, false}, {"", 3, false, true}}) {
    SCOPED_TRACE(concat(team.ranks, " ranks"));
    expect_the_video_of_one_rank(model(), team, request(7), policy);
    expect_what_was_planned(model(), team, request(7), policy);
  }
}

TEST_P(HalvesOfFamily, CostLessWhereOneIsLeftOut) {
  const VideoResult result = made(reuse_of_a_half(evaluations()));
  const auto cross = [&](size_t e) { return result.evaluations[e].computed[size_t(Branch::spatial_cross)]; };
  EXPECT_EQ(cross(1), cross(0));
  EXPECT_EQ(2 * cross(2), cross(0));
  EXPECT_EQ(cross(4), cross(0));
}

TEST_P(HalvesOfFamily, AreRefusedWhereThereIsNoneToReuse) {
  const BroadcastPolicy policy = reuse_of_a_half(evaluations());
  EXPECT_THAT(policy.refusal_of_guidance(3, true), HasSubstr("cfg-parallel"));
  const auto opened = [&](bool cfg_parallel, double guidance) {
    const auto channels = planning_channels(0, 2, cfg_parallel, {});
    const auto backend = make_cpu_backend();
    const auto pipeline = model().open(*backend, {}, channels);
    VideoRequest of = request(7);
    of.guidance = guidance;
    PhiloxNoise noise{0, "", 0};
    VideoRun run{noise};
    run.broadcast = policy;
    return error_of([&] { pipeline->generate(of, run); });
  };
  EXPECT_THAT(opened(false, 1), HasSubstr("guidance is 1, expected more than 1"));
  EXPECT_THAT(opened(true, 3), HasSubstr("leave cfg-parallel out"));
}

INSTANTIATE_TEST_SUITE_P(Families, HalvesOfFamily, testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& info) { return std::regex_replace(std::string(info.param), std::regex("[^a-z0-9]"), "_"); });

}  // namespace
}  // namespace pyracast
