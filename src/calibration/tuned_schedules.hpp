#pragma once
// The search of `pyracast tune`, from what was asked for to schedules and the table of alternatives.
#include <deque>
#include <map>

#include "calibration/calibration.hpp"
#include "report/tuning.hpp"
#include "settings/tune_settings.hpp"

namespace pyracast {

/// The settings' candidates and `usual`, the reference's steps, the largest first. Throws Error on what is no such number.
std::vector<int> steps_to_tune(const TuneSettings& settings, int usual);

/// "costs" of a tune.json, or of the provenance of a schedule that tune wrote: {"branches": {"spatial_attention": seconds, …},
/// "evaluation": seconds}.
BranchCosts read_costs(const std::filesystem::path& file);
Json to_json(const BranchCosts& costs);

/// What a schedule file says of its making besides its own figures. No path in it is longer than a file's name.
Json provenance_of(const TuneSettings& settings, const Json& content);
/// The file's text: `schedule` with "provenance" completed, a line an entry.
std::string schedule_text(Json schedule, const Json& provenance);

/// Calibrates each number of steps and searches a schedule for each target. All ranks compute the same.
class TunedSchedules {
 public:
  /// `tells`: whether this rank says on standard error what is being done. Throws AskedToStop.
  TunedSchedules(const TuneSettings& settings, const CalibrationSamples& samples, bool tells);

  /// By file name; "provenance" holds predicted and measured error and speed-up.
  const std::map<std::string, Json>& schedules() const { return schedules_; }
  const BranchCosts& costs() const { return costs_; }
  const Tuning& tuning() const { return tuning_; }

 private:
  struct Target {
    std::string file, name;
    std::optional<double> budget, error;
  };
  /// A table over all groups that was run.
  struct Tried {
    ReuseTable table;
    int64_t cost;
    double predicted, error;
  };
  const TuneSettings& settings_;
  const CalibrationSamples& samples_;
  bool tells_;
  std::vector<SiteGroup> groups_;
  BranchCosts costs_;
  double whole_ = 0;   ///< seconds of computing everything in all steps
  std::map<std::string, Json> schedules_;
  Tuning tuning_;
  std::vector<Tried> tried_;   ///< of the steps being calibrated

  void tell(const std::string& what) const;
  double cost_of_steps(int steps) const;
  ReuseCosts units(const std::vector<SiteGroup>& groups) const;
  std::vector<Target> targets(std::vector<TunedWay>& untuned);
  void add_fewer_steps(const std::vector<Target>& targets);
  std::pair<double, ErrorModel> try_table(const ReuseTable& table, const StepsCalibration& calibration);
  void try_front(const std::deque<StepsCalibration>& calibrations);
  const Tried* best_for(const Target& target) const;
  bool fits(const Tried& tried, const Target& target) const;
  void try_target(const Target& target, const StepsCalibration& calibration);
  void add_tuned(const Target& target, int steps);
};

}  // namespace pyracast
