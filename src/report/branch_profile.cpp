#include "report/branch_profile.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

#include "base/counted.hpp"
#include "pab/broadcast_policy.hpp"
#include "report/html.hpp"

namespace pyracast {

namespace {

double mean_of(const std::vector<double>& values, size_t begin, size_t end) {
  return std::accumulate(values.begin() + long(begin), values.begin() + long(end), 0.0) / double(end - begin);
}

/// Shortest text that reads back as the same number; empty where it is none.
std::string cell(double value) { return std::isfinite(value) ? Json(value).dump() : ""; }

std::string block_name(const ProfileRow& row) { return row.block ? std::to_string(*row.block) : "all"; }

Json to_json(const CurveSummary& s) {
  return {{"first", s.first}, {"middle", s.middle}, {"last", s.last}, {"first_over_middle", s.first_over_middle()},
          {"last_over_middle", s.last_over_middle()}, {"ends_over_middle", s.ends_over_middle()}};
}

}  // namespace

// Welford's update: no cancellation where the samples lie close together.
void SampleMean::add(double value) {
  const double from_mean = value - mean_;
  mean_ += from_mean / double(++count_);
  squares_ += from_mean * (value - mean_);
}

double SampleMean::deviation() const {
  return count_ < 2 ? std::numeric_limits<double>::quiet_NaN() : std::sqrt(squares_ / double(count_ - 1));
}

CurveSummary summary_of(const std::vector<double>& curve) {
  assert(curve.size() >= 3);
  const size_t end = std::max<size_t>(1, size_t(std::llround(0.15 * double(curve.size())))), size = curve.size();
  return {mean_of(curve, 0, end), mean_of(curve, end, size - end), mean_of(curve, size - end, size)};
}

BranchProfile::BranchProfile(std::vector<double> timesteps) : timesteps_(std::move(timesteps)) {
  assert(timesteps_.size() >= fewest_evaluations);
}

void BranchProfile::add(const std::map<Site, std::vector<Change>>& sample) {
  const size_t changes = timesteps_.size() - 1;
  size_t at = 0;   // in rows_
  const auto add_curve = [&](Branch branch, std::optional<int> block, const std::vector<Change>& curve) {
    assert(curve.size() == changes);
    for (size_t i = 0; i < changes; ++i, ++at) {
      if (samples_ == 0) rows_.push_back({branch, block, int(i) + 1, timesteps_[i + 1], {}, {}});
      ProfileRow& row = rows_[at];
      assert(row.branch == branch && row.block == block);
      row.mse.add(curve[i].mse);
      row.relative.add(curve[i].relative);
    }
  };
  for (auto begin = sample.begin(); begin != sample.end();) {
    const Branch branch = begin->first.branch;
    const auto end = sample.upper_bound({branch, std::numeric_limits<int>::max()});
    const double blocks = double(std::distance(begin, end));
    std::vector<Change> mean(changes);
    for (auto site = begin; site != end; ++site)
      for (size_t i = 0; i < changes; ++i) {
        mean[i].mse += site->second[i].mse / blocks;
        mean[i].relative += site->second[i].relative / blocks;
      }
    add_curve(branch, std::nullopt, mean);
    for (; begin != end; ++begin) add_curve(branch, begin->first.block, begin->second);
  }
  assert(at == rows_.size());
  ++samples_;
}

std::vector<BranchSummary> BranchProfile::summaries() const {
  std::map<Branch, std::pair<std::vector<double>, std::vector<double>>> curves;
  for (const ProfileRow& row : rows_) {
    if (row.block) continue;
    curves[row.branch].first.push_back(row.mse.mean());
    curves[row.branch].second.push_back(row.relative.mean());
  }
  std::vector<BranchSummary> summaries;
  for (const auto& [branch, curve] : curves)
    summaries.push_back({branch, summary_of(curve.first), summary_of(curve.second)});
  return summaries;
}

std::string profile_csv(const BranchProfile& profile) {
  std::string text = "branch,block,evaluation,timestep,mse,mse_sd,relative,relative_sd,samples\n";
  for (const ProfileRow& row : profile.rows())
    text += concat(name_of(row.branch), ',', block_name(row), ',', row.evaluation, ',', cell(row.timestep), ',',
                   cell(row.mse.mean()), ',', cell(row.mse.deviation()), ',', cell(row.relative.mean()), ',',
                   cell(row.relative.deviation()), ',', profile.samples(), '\n');
  return text;
}

Json profile_json(const BranchProfile& profile) {
  Json summary = Json::array(), changes = Json::array();
  for (const BranchSummary& branch : profile.summaries())
    summary.push_back({{"branch", name_of(branch.branch)}, {"mse", to_json(branch.mse)},
                       {"relative", to_json(branch.relative)}});
  for (const ProfileRow& row : profile.rows())
    changes.push_back({{"branch", name_of(row.branch)}, {"block", row.block ? Json(*row.block) : Json("all")},
                       {"evaluation", row.evaluation}, {"timestep", row.timestep}, {"mse", row.mse.mean()},
                       {"mse_sd", row.mse.deviation()}, {"relative", row.relative.mean()},
                       {"relative_sd", row.relative.deviation()}, {"samples", profile.samples()}});
  return {{"evaluations", profile.timesteps().size()}, {"timesteps", profile.timesteps()}, {"samples", profile.samples()},
          {"definitions",
           {{"mse", "mean over elements of (output - output one evaluation before)^2, both halves of guidance together"},
            {"relative", "mse / mean over elements of (output one evaluation before)^2, of each sample and block"},
            {"block all", "of each sample the mean over blocks"},
            {"sd", "standard deviation over samples, n - 1"},
            {"summary", "means of the first 15 %, the middle and the last 15 % of the curve \"all\", averaged over samples"}}},
          {"summary", std::move(summary)}, {"changes", std::move(changes)}};
}

LineChart profile_chart(const BranchProfile& profile) {
  LineChart chart{.title = "Change of branch outputs from one evaluation to the next, mean over blocks and "
                           + counted(profile.samples(), "sample"),
                  .x_label = "evaluation", .y_label = "relative mean squared change", .log_y = true};
  std::map<Branch, size_t> series;
  for (const ProfileRow& row : profile.rows()) {
    if (row.block) continue;
    const auto [found, fresh] = series.try_emplace(row.branch, chart.series.size());
    if (fresh) chart.series.push_back({words(name_of(row.branch)), {}, {}});
    chart.series[found->second].x.push_back(row.evaluation);
    chart.series[found->second].y.push_back(row.relative.mean());
  }
  std::erase_if(chart.series, [](const ChartSeries& curve) {
    return std::none_of(curve.y.begin(), curve.y.end(), [](double y) { return y > 0 && std::isfinite(y); });
  });
  return chart;
}

std::string profile_table(const BranchProfile& profile) {
  std::string text = "                      relative change, mean of the      over the middle\n"
                     "                      first 15 %  middle     last 15 %  first   last    ends    (mse: first, last, ends)\n";
  for (const auto& [branch, mse, relative] : profile.summaries()) {
    char line[160];
    std::snprintf(line, sizeof line, "%-20s  %-10.3g  %-9.3g  %-9.3g  %-6.2f  %-6.2f  %-6.2f  (%.2f, %.2f, %.2f)\n",
                  words(name_of(branch)).c_str(), relative.first, relative.middle, relative.last, relative.first_over_middle(),
                  relative.last_over_middle(), relative.ends_over_middle(), mse.first_over_middle(), mse.last_over_middle(),
                  mse.ends_over_middle());
    text += line;
  }
  return text;
}

}  // namespace pyracast
