#include "models/run.hpp"

#include <gtest/gtest.h>

namespace pyracast {
namespace {

/// Sums of x after each of two evaluations, the second of which reuses the branch 2 * x of the first under another gate.
std::vector<float> of_two_evaluations(StoredOutput stored) {
  const auto backend = make_cpu_backend();
  const auto alone = make_lone_communicator();
  BroadcastSchedule schedule(2, 1);
  const Site site{Branch::spatial_attention, 0};
  schedule.set_reuse(1, site, true);
  pyracast::Run run(*alone, schedule, TokenPlan(schedule, {}, Axis::space), stored);
  std::vector<float> seen;
  for (const float gate : {3.f, 5.f}) {
    run.begin(gate == 3 ? 0 : 1);
    const auto of = [&](float value) { return Tensor(*backend, {1, 2}, {value, value}); };
    const Modulation modulation{of(0), of(0), of(gate)};
    const Tensor x = run.shard(Tensor(*backend, {1, 1, 1, 2}, {-1, 1}), site);   // normalised already
    seen.push_back(run.residual(site, x, modulation, [](const Residual&, const Tensor& h) { return h + h; }).to_host()[1]);
  }
  return seen;
}

TEST(Run, ReusesAnOutputBehindTheGateThatItWasComputedUnder) {
  const auto seen = of_two_evaluations(StoredOutput::gated);
  EXPECT_NEAR(seen[0], 1 + 3 * 2, 1e-4);
  EXPECT_EQ(seen[1], seen[0]);
}

TEST(Run, AppliesEachEvaluationsGateToAnOutputThatIsStoredBeforeIt) {
  const auto seen = of_two_evaluations(StoredOutput::ungated);
  EXPECT_NEAR(seen[0], 1 + 3 * 2, 1e-4);
  EXPECT_NEAR(seen[1], 1 + 5 * 2, 1e-4);
}

TEST(Run, MakesWhatNoTimestepChangesOnceAVideoAndSite) {
  const auto backend = make_cpu_backend();
  const auto alone = make_lone_communicator();
  pyracast::Run run(*alone, BroadcastSchedule(2, 2));
  int asked = 0;
  const auto keys_of = [&](int block) {
    return run.once("text", {Branch::spatial_cross, block}, [&] {
      const Tensor x(*backend, {1}, {float(++asked)});
      return KeysAndValues{x, x};
    }).keys.to_host()[0];
  };
  const auto positions = [&] { return run.once("positions", [&] { return ++asked; }); };
  run.begin(0);
  EXPECT_EQ(keys_of(0), 1);
  EXPECT_EQ(keys_of(1), 2);
  EXPECT_EQ(positions(), 3);
  run.begin(1);
  EXPECT_EQ(keys_of(0), 1);
  EXPECT_EQ(keys_of(1), 2);
  EXPECT_EQ(positions(), 3);
  run.begin(0);   // another video
  EXPECT_EQ(keys_of(0), 4);
  EXPECT_EQ(positions(), 5);
}

}  // namespace
}  // namespace pyracast
