#pragma once
#include <algorithm>
#include <deque>
#include <functional>
#include <optional>

namespace pyracast {

/// Seconds on a clock that only goes forward.
double steady_seconds();

/// Whether a sample that is begun can be made before the time is up, guessed from those that were made: no slower a unit
/// of cost than the slowest of the last eight. Of a rank that has made none any sample fits while there is time at all.
class TimeLeft {
 public:
  /// `seconds` from this moment on; nothing: for ever.
  explicit TimeLeft(std::optional<double> seconds, std::function<double()> now = steady_seconds);

  bool suffices_for(double cost) const;
  /// A sample of that cost took so long.
  void took(double cost, double seconds);

  /// Whether there is time for an evaluation of the network as long as the longest so far, and for so many seconds after it.
  bool suffices_for_evaluation(double after = 0) const { return seconds() > longest_evaluation_ + after; }
  void evaluation_took(double seconds) { longest_evaluation_ = std::max(longest_evaluation_, seconds); }

  /// How long a sample of that cost will take; 0 where none was made.
  double guess(double cost) const;
  double seconds() const { return end_ - now_(); }

 private:
  std::function<double()> now_;
  double end_;
  std::deque<double> seconds_a_cost_;   // of the last samples
  double longest_evaluation_ = 0;
};

}  // namespace pyracast
