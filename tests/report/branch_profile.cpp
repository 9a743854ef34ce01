#include "report/branch_profile.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>

namespace pyracast {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr Site first{Branch::spatial_attention, 0}, second{Branch::spatial_attention, 1}, cross{Branch::temporal_cross, 0};

/// Two samples with four evaluations, two blocks of one branch and one of another; mse is 10 times relative.
BranchProfile two_samples() {
  const auto curve = [](std::vector<double> relative) {
    std::vector<Change> changes;
    for (const double value : relative) changes.push_back({10 * value, value});
    return changes;
  };
  BranchProfile profile({900, 600, 300, 50});
  profile.add({{first, curve({1, 2, 3})}, {second, curve({3, 4, 5})}, {cross, curve({8, 1, 4})}});
  profile.add({{first, curve({3, 2, 1})}, {second, curve({5, 4, 3})}, {cross, curve({8, 1, 4})}});
  return profile;
}

const ProfileRow& row(const BranchProfile& profile, Branch branch, std::optional<int> block, int evaluation) {
  for (const ProfileRow& r : profile.rows())
    if (r.branch == branch && r.block == block && r.evaluation == evaluation) return r;
  throw std::out_of_range("no such row");
}

TEST(SampleMean, GivesMeanAndStandardDeviation) {
  SampleMean mean;
  for (const double value : {2.0, 4.0, 4.0, 6.0}) mean.add(value);
  EXPECT_DOUBLE_EQ(mean.mean(), 4);
  EXPECT_DOUBLE_EQ(mean.deviation(), std::sqrt(8.0 / 3));
}

TEST(SampleMean, HasNoDeviationOfOneSample) {
  SampleMean mean;
  mean.add(7);
  EXPECT_DOUBLE_EQ(mean.mean(), 7);
  EXPECT_TRUE(std::isnan(mean.deviation()));
}

TEST(SampleMean, KeepsSmallDeviationsFromALargeMean) {
  SampleMean mean;
  for (const double value : {1e9 + 1, 1e9 + 2, 1e9 + 3}) mean.add(value);
  EXPECT_DOUBLE_EQ(mean.deviation(), 1);
}

TEST(CurveSummary, TakesFifteenHundredthsAtEachEnd) {
  std::vector<double> curve(20, 2);   // ends of three
  for (const int i : {0, 1, 2}) curve[size_t(i)] = 10;
  for (const int i : {17, 18, 19}) curve[size_t(i)] = 6;
  const CurveSummary summary = summary_of(curve);
  EXPECT_DOUBLE_EQ(summary.first, 10);
  EXPECT_DOUBLE_EQ(summary.middle, 2);
  EXPECT_DOUBLE_EQ(summary.last, 6);
  EXPECT_DOUBLE_EQ(summary.first_over_middle(), 5);
  EXPECT_DOUBLE_EQ(summary.last_over_middle(), 3);
  EXPECT_DOUBLE_EQ(summary.ends_over_middle(), 4);
}

TEST(CurveSummary, HasOneChangeAtEachEndOfAShortCurve) {
  const CurveSummary summary = summary_of({1, 2, 4});
  EXPECT_DOUBLE_EQ(summary.first, 1);
  EXPECT_DOUBLE_EQ(summary.middle, 2);
  EXPECT_DOUBLE_EQ(summary.last, 4);
}

TEST(BranchProfile, AveragesOverBlocksThenOverSamples) {
  const BranchProfile profile = two_samples();
  EXPECT_EQ(profile.samples(), 2);
  EXPECT_EQ(profile.rows().size(), (3u + 2u) * 3u);
  const ProfileRow& all = row(profile, Branch::spatial_attention, std::nullopt, 1);   // samples 2 and 4
  EXPECT_DOUBLE_EQ(all.relative.mean(), 3);
  EXPECT_DOUBLE_EQ(all.relative.deviation(), std::sqrt(2.0));
  EXPECT_DOUBLE_EQ(all.mse.mean(), 30);
  EXPECT_DOUBLE_EQ(all.timestep, 600);
  const ProfileRow& block = row(profile, Branch::spatial_attention, 1, 3);   // samples 5 and 3
  EXPECT_DOUBLE_EQ(block.relative.mean(), 4);
  EXPECT_DOUBLE_EQ(block.mse.deviation(), std::sqrt(200.0));
  EXPECT_DOUBLE_EQ(block.timestep, 50);
}

TEST(BranchProfile, SummarisesEachBranch) {
  const auto summaries = two_samples().summaries();
  ASSERT_EQ(summaries.size(), 2u);
  EXPECT_EQ(summaries[1].branch, Branch::temporal_cross);
  EXPECT_DOUBLE_EQ(summaries[1].relative.first_over_middle(), 8);
  EXPECT_DOUBLE_EQ(summaries[1].mse.last_over_middle(), 4);
  EXPECT_DOUBLE_EQ(summaries[1].mse.ends_over_middle(), 6);
}

TEST(BranchProfile, IsWrittenAsATidyTable) {
  const std::string csv = profile_csv(two_samples());
  EXPECT_EQ(csv.substr(0, csv.find('\n')), "branch,block,evaluation,timestep,mse,mse_sd,relative,relative_sd,samples");
  EXPECT_THAT(csv, HasSubstr("\ntemporal_cross,all,2,300.0,10.0,0.0,1.0,0.0,2\n"));
  EXPECT_THAT(csv, HasSubstr("\ntemporal_cross,0,3,50.0,40.0,0.0,4.0,0.0,2\n"));
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 15);
}

TEST(BranchProfile, LeavesCellsEmptyThatAreNoNumbers) {
  BranchProfile profile({3, 2, 1, 0});
  const double none = std::numeric_limits<double>::quiet_NaN();
  profile.add({{first, {{1, none}, {2, 0.5}, {3, 0.25}}}});
  EXPECT_THAT(profile_csv(profile), HasSubstr("\nspatial_attention,0,1,2.0,1.0,,,,1\n"));
  const Json json = Json::parse(profile_json(profile).dump());
  EXPECT_TRUE(json["changes"][0]["relative"].is_null());
  EXPECT_TRUE(json["summary"][0]["relative"]["first"].is_null());
  EXPECT_EQ(json["summary"][0]["mse"]["last_over_middle"], 1.5);
}

TEST(BranchProfile, HoldsTheSameNumbersAsJson) {
  const Json json = profile_json(two_samples());
  EXPECT_EQ(json["evaluations"], 4);
  EXPECT_EQ(json["samples"], 2);
  EXPECT_EQ(json["changes"].size(), 15u);
  EXPECT_EQ(json["changes"][0]["block"], "all");
  EXPECT_EQ(json["changes"][3]["block"], 0);
  EXPECT_EQ(json["changes"][3]["branch"], "spatial_attention");
  EXPECT_EQ(json["summary"][1]["relative"]["ends_over_middle"], 6.0);
}

TEST(BranchProfile, ShowsTheMeansOverBlocksInItsChart) {
  const LineChart chart = profile_chart(two_samples());
  ASSERT_EQ(chart.series.size(), 2u);
  EXPECT_TRUE(chart.log_y);
  EXPECT_EQ(chart.series[1].name, "temporal cross");
  EXPECT_EQ(chart.series[1].x, (std::vector<double>{1, 2, 3}));
  EXPECT_EQ(chart.series[1].y, (std::vector<double>{8, 1, 4}));
  EXPECT_THAT(line_chart_svg(chart), HasSubstr("temporal cross"));
}

TEST(BranchProfile, LeavesBranchesOutOfItsChartThatNeverChange) {
  BranchProfile profile({3, 2, 1, 0});
  profile.add({{first, {{0, 0}, {0, 0}, {0, 0}}}, {cross, {{1, 1}, {1, 1}, {0, 0}}}});
  EXPECT_THAT(line_chart_svg(profile_chart(profile)), Not(HasSubstr("spatial attention")));
}

TEST(BranchProfile, TellsEachBranchInALine) {
  const std::string table = profile_table(two_samples());
  EXPECT_THAT(table, HasSubstr("\ntemporal cross"));
  EXPECT_THAT(table, HasSubstr("8.00    4.00    6.00"));
  EXPECT_EQ(std::count(table.begin(), table.end(), '\n'), 2 + 2);
}

}  // namespace
}  // namespace pyracast
