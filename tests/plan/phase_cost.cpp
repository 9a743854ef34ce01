#include "plan/phase_cost.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pyracast {
namespace {

TEST(PhaseCost, FitRecoversCosts) {
  const PhaseCost real{0.003, 2e-9};
  std::vector<MeasuredPhase> measured;
  for (const PhaseWork work : {PhaseWork{4, 1e6}, {4, 1e8}, {8, 5e7}}) measured.push_back({work, real.of(work)});
  const PhaseCost found = fit_cost(measured);
  EXPECT_NEAR(found.per_call, real.per_call, 1e-12);
  EXPECT_NEAR(found.per_work, real.per_work, 1e-18);
}

TEST(PhaseCost, FitRecoversCostsUnderNoiseOfEachSample) {
  const PhaseCost real{0.01, 1e-9};
  std::mt19937 random(1);
  std::normal_distribution<double> noise(1, 0.1);
  std::vector<MeasuredPhase> measured;
  for (int i = 0; i < 4000; ++i) {
    const PhaseWork work{1, i % 2 ? 2e6 : 5e7};
    measured.push_back({work, real.of(work) * noise(random)});
  }
  const PhaseCost found = fit_cost(measured);
  EXPECT_NEAR(found.per_call, real.per_call, 0.02 * real.per_call);
  EXPECT_NEAR(found.per_work, real.per_work, 0.02 * real.per_work);
}

TEST(PhaseCost, NeitherCostIsNegative) {
  // More work took less time: the least error without a negative cost is that of calls alone, or of work alone.
  const PhaseCost calls = fit_cost(std::vector<MeasuredPhase>{{{1, 1}, 1.0}, {{1, 2}, 0.9}});
  EXPECT_EQ(calls.per_work, 0);
  EXPECT_NEAR(calls.per_call, 0.945, 0.01);
  const PhaseCost work = fit_cost(std::vector<MeasuredPhase>{{{1, 1}, 1.0}, {{1, 2}, 2.2}});
  EXPECT_EQ(work.per_call, 0);
  EXPECT_NEAR(work.per_work, 1.045, 0.01);
}

TEST(PhaseCost, OneKindOfWorkIsProportional) {
  const PhaseCost found = fit_cost(std::vector<MeasuredPhase>{{{2, 10}, 5}, {{2, 10}, 7}, {{4, 20}, 12}});
  EXPECT_EQ(found.per_call, 0);
  EXPECT_NEAR(found.per_work, 0.6, 1e-12);
  EXPECT_EQ(fit_cost(std::vector<MeasuredPhase>{{{2, 0}, 5}, {{2, 0}, 7}}).per_call, 3);
  EXPECT_EQ(fit_cost({}).per_call, 0);
}

TEST(PhaseCost, WhatIsDoneBesideTheMakingCountsWhereItTakesLonger) {
  MakingCosts costs{};
  VideoWork work{};
  for (PhaseWork& phase : work) phase = {1, 1};
  costs[size_t(MakingPhase::text)] = {100, 0};
  costs[size_t(MakingPhase::mlp)] = {2, 1};
  costs[size_t(MakingPhase::decode)] = {1, 0};
  costs[size_t(MakingPhase::encode)] = {1, 0.5};
  EXPECT_EQ(making_seconds(costs, work, Beside::nothing), 4);
  EXPECT_EQ(latency_seconds(costs, work), 105.5);
  costs[size_t(MakingPhase::write)] = {5, 0};
  EXPECT_EQ(making_seconds(costs, work, Beside::nothing), 6.5);
}

TEST(PhaseCost, DecodingAndLeavingCountAsFarAsTheyAreNotHiddenByTheNextVideo) {
  MakingCosts costs{};
  VideoWork work{};
  for (PhaseWork& phase : work) phase = {1, 0};
  const auto takes = [&](MakingPhase phase, double seconds) { costs[size_t(phase)] = {seconds, 0}; };
  takes(MakingPhase::mlp, 5), takes(MakingPhase::rest, 1), takes(MakingPhase::decode, 4), takes(MakingPhase::leave, 3);
  EXPECT_EQ(making_seconds(costs, work, Beside::nothing), 6 + 4 + 3);
  EXPECT_EQ(making_seconds(costs, work, Beside::decoding), 4 + 3) << "other cores take longer than denoising does";
  EXPECT_EQ(making_seconds(costs, work, Beside::leaving), 6 + 4) << "the GPU itself decodes";
  takes(MakingPhase::mlp, 8);
  EXPECT_EQ(making_seconds(costs, work, Beside::decoding), 9);
  takes(MakingPhase::leave, 20);
  EXPECT_EQ(making_seconds(costs, work, Beside::leaving), 4 + 20);
  takes(MakingPhase::write, 30);
  for (const Beside beside : {Beside::decoding, Beside::leaving}) EXPECT_EQ(making_seconds(costs, work, beside), 30);
  EXPECT_EQ(latency_seconds(costs, work), 9 + 4 + 20 + 30) << "of one video nothing is hidden";
}

}  // namespace
}  // namespace pyracast
