#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/json.hpp"
#include "report/line_chart.hpp"

namespace pyracast {

/// One way of making videos for less, as the calibration samples show it.
struct TunedWay {
  std::string target;                ///< what was asked: "cost 0.640"
  std::string way;                   ///< "tuned", "fewer steps", or a broadcast file's name
  int steps = 0;
  double cost = 0;                   ///< of counted computations, as a share of computing everything in all steps
  std::optional<double> predicted;   ///< error as the model of the calibration has it, uncorrected by real runs
  double error = 0;                  ///< measured
  std::string file;                  ///< the schedule's, where it was written
  bool fits = true;                  ///< the target
  bool best = false;                 ///< of its target
};

/// Of one number of steps: errors of the tables found for a row of costs.
struct TunedFront {
  int steps = 0;
  std::vector<double> cost, predicted, measured;
};

/// What a search came to. Errors: |latents - reference|^2 / |reference|^2, mean over samples.
struct Tuning {
  std::vector<TunedWay> ways;
  std::vector<TunedFront> fronts;
  std::vector<TunedWay> untuned;   ///< points to hold the fronts against
};

/// Marks the best of each target: of those within a budget the one of the least error; `by_cost` targets: of those within an
/// error the cheapest.
void mark_best(std::vector<TunedWay>& ways, const std::vector<std::string>& by_cost);

/// For a terminal, a line a way.
std::string tuning_table(const Tuning& tuning);
Json tuning_json(const Tuning& tuning);
/// Measured errors against costs, logarithmic.
LineChart tuning_chart(const Tuning& tuning);

}  // namespace pyracast
