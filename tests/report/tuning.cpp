#include "report/tuning.hpp"

#include <gmock/gmock.h>

namespace pyracast {
namespace {

using ::testing::HasSubstr;

TunedWay way(const char* target, const char* name, double cost, double error, bool fits = true) {
  TunedWay made;
  made.target = target;
  made.way = name;
  made.steps = 30;
  made.cost = cost;
  made.error = error;
  made.fits = fits;
  return made;
}

TEST(Tuning, CallsBestTheLeastErrorOfABudgetAndTheLeastCostOfAnError) {
  std::vector<TunedWay> ways{way("cost", "a", 0.5, 3e-3), way("cost", "b", 0.5, 1e-3), way("cost", "c", 0.4, 2e-3),
                             way("error", "d", 0.6, 1e-4), way("error", "e", 0.5, 2e-4), way("error", "f", 0.3, 9e-1, false)};
  mark_best(ways, {"error"});
  std::string best;
  for (const TunedWay& w : ways)
    if (w.best) best += w.way;
  EXPECT_EQ(best, "be");
}

TEST(Tuning, IsToldInATableInJsonAndInAChart) {
  Tuning tuning;
  tuning.ways = {way("cost 0.5", "tuned", 0.5, 1e-3), way("cost 0.5", "fewer steps", 0.5, 2e-3, false)};
  tuning.ways[0].predicted = 9e-4;
  tuning.fronts.push_back({30, {0.9, 0.5}, {1e-4, 9e-4}, {1e-4, 1e-3}});
  tuning.untuned = {way("", "fewer steps", 0.5, 2e-3), way("", "fewer steps", 0.4, 3e-3), way("", "nothing reused", 1, 0)};
  EXPECT_THAT(tuning_table(tuning), HasSubstr("misses the target"));
  const Json json = tuning_json(tuning);
  EXPECT_EQ(json["ways"][0]["speed_up"], 2.0);
  EXPECT_EQ(json["ways"][0]["predicted_error"], 9e-4);
  EXPECT_TRUE(json["ways"][1]["predicted_error"].is_null());
  EXPECT_EQ(json["front"][0]["measured_error"][1], 1e-3);
  const LineChart chart = tuning_chart(tuning);
  ASSERT_EQ(chart.series.size(), 2u);   // an error of 0 has no place on a logarithmic axis
  EXPECT_EQ(chart.series[0].name, "tuned, 30 steps");
  EXPECT_THAT(chart.series[1].y, ::testing::ElementsAre(2e-3, 3e-3));
}

}  // namespace
}  // namespace pyracast
