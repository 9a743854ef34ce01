#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "pab/branch_changes.hpp"
#include "report/line_chart.hpp"

namespace pyracast {

/// The mean of a number over samples, and how far they lie apart.
class SampleMean {
 public:
  void add(double value);
  double mean() const { return mean_; }
  /// Standard deviation over the samples (divided by their number less one); not a number below two.
  double deviation() const;

 private:
  int64_t count_ = 0;
  double mean_ = 0, squares_ = 0;   // squares of deviations from the mean
};

/// How much a branch's output changes at one evaluation, in one block or on average over all.
struct ProfileRow {
  Branch branch;
  std::optional<int> block;   ///< absent: the mean over the blocks, taken for each sample
  int evaluation;             ///< from 1: against the evaluation before
  double timestep;            ///< of this evaluation
  SampleMean mse, relative;
};

/// A curve in three: its first 15 % of changes, its last 15 % (each rounded, and one change at least), the middle between.
struct CurveSummary {
  double first, middle, last;   ///< means
  double first_over_middle() const { return first / middle; }
  double last_over_middle() const { return last / middle; }
  double ends_over_middle() const { return (first + last) / 2 / middle; }
};
/// `curve` holds at least 3 numbers.
CurveSummary summary_of(const std::vector<double>& curve);

struct BranchSummary {
  Branch branch;
  CurveSummary mse, relative;   ///< of the means over blocks and samples
};

/// How much the outputs of branches change from one evaluation to the next, on average over samples.
class BranchProfile {
 public:
  static constexpr size_t fewest_evaluations = 4;   ///< three changes: a beginning, a middle and an end

  /// `timesteps`: one an evaluation, at least fewest_evaluations.
  explicit BranchProfile(std::vector<double> timesteps);

  /// One sample. All have the same sites and evaluations. The sums depend on the order of samples in their last bits.
  void add(const std::map<Site, std::vector<Change>>& sample);

  int samples() const { return samples_; }
  const std::vector<double>& timesteps() const { return timesteps_; }
  /// By branch; of each the mean over blocks first, then the blocks; of each the evaluations.
  const std::vector<ProfileRow>& rows() const { return rows_; }
  std::vector<BranchSummary> summaries() const;

 private:
  std::vector<double> timesteps_;
  std::vector<ProfileRow> rows_;
  int samples_ = 0;
};

/// branch,block,evaluation,timestep,mse,mse_sd,relative,relative_sd,samples: a line a row, block "all" for the mean over
/// blocks, an empty cell for what is not a number.
std::string profile_csv(const BranchProfile& profile);

/// {"evaluations", "timesteps", "samples", "definitions", "summary", "changes"}: the same rows, and what they come to.
Json profile_json(const BranchProfile& profile);

/// The relative changes of all branches, averaged over blocks, against the evaluation. A branch that never changes, or
/// whose output is zero, has no place on a logarithmic axis and is left out.
LineChart profile_chart(const BranchProfile& profile);

/// The summary for a terminal, a line a branch.
std::string profile_table(const BranchProfile& profile);

}  // namespace pyracast
