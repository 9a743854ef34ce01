#include "pab/branch_changes.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "pab/attention_cache.hpp"

namespace pyracast {
namespace {

using ::testing::ElementsAre;

constexpr Site spatial{Branch::spatial_attention, 0}, mlp{Branch::temporal_mlp, 3};

TEST(Change, IsTheMeanSquaredDifferenceAndItsShareOfTheEarlierSize) {
  const std::vector<float> before{1, -2, 3, 0}, now{2, -2, 1, 1};   // differences 1, 0, -2, 1
  const Change found = change(before, now);
  EXPECT_DOUBLE_EQ(found.mse, 6.0 / 4);
  EXPECT_DOUBLE_EQ(found.relative, 6.0 / 14);
}

TEST(Change, IsZeroBetweenEqualOutputs) {
  const std::vector<float> same{0.5f, -7};
  EXPECT_EQ(change(same, same).mse, 0);
  EXPECT_EQ(change(same, same).relative, 0);
}

TEST(Change, OfSilenceHasNoRelativeSize) {
  const std::vector<float> silence{0, 0}, now{0, 2};
  EXPECT_DOUBLE_EQ(change(silence, now).mse, 2);
  EXPECT_FALSE(std::isfinite(change(silence, now).relative));
  EXPECT_TRUE(std::isnan(change(silence, silence).relative));
}

TEST(Change, DoesNotDrownSmallDifferencesInLargeOutputs) {
  std::vector<float> before(100000, 4096.f), now = before;
  now.front() += 0.5f;
  EXPECT_DOUBLE_EQ(change(before, now).mse, 0.25 / 100000);
}

TEST(BranchChanges, ComparesEachOutputWithTheOneBeforeOfTheSameSite) {
  const auto backend = make_cpu_backend();
  const auto output = [&](float value) { return Tensor(*backend, {1, 2}, std::vector<float>{value, -value}); };
  BranchChanges changes;
  for (const float value : {1.f, 2.f, 4.f}) {
    changes.see(spatial, output(value));
    changes.see(mlp, output(10 * value));
  }
  const auto mse_of = [&](Site site) {
    std::vector<double> all;
    for (const Change& c : changes.of_sites().at(site)) all.push_back(c.mse);
    return all;
  };
  EXPECT_EQ(changes.of_sites().size(), 2u);
  EXPECT_THAT(mse_of(spatial), ElementsAre(1, 4));
  EXPECT_THAT(mse_of(mlp), ElementsAre(100, 400));
  EXPECT_DOUBLE_EQ(changes.of_sites().at(mlp)[1].relative, 1);
}

TEST(AttentionCache, ShowsEveryOutputThatIsComputedAndNoneThatIsReused) {
  const auto backend = make_cpu_backend();
  BroadcastSchedule schedule(3, 1);
  schedule.set_reuse(1, spatial, true);
  AttentionCache cache(schedule);
  std::vector<std::pair<int, float>> seen;
  cache.listen([&](int evaluation, Site site, const Tensor& output) {
    EXPECT_EQ(site, spatial);
    seen.emplace_back(evaluation, output.to_host().front());
  });
  for (int evaluation = 0; evaluation < 3; ++evaluation) {
    cache.begin(evaluation);
    if (cache.reuses(spatial)) cache.keep(spatial);
    else cache.computed(*backend, spatial, [&] { return Tensor(*backend, {1}, std::vector<float>{float(evaluation)}); });
  }
  EXPECT_THAT(seen, ElementsAre(std::pair(0, 0.f), std::pair(2, 2.f)));
}

}  // namespace
}  // namespace pyracast
