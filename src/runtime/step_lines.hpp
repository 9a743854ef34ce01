#pragma once
#include <chrono>
#include <string>

namespace pyracast {

/// Tells on standard error how far a step is that may take minutes: on a terminal one line that is written over, beginning when the step has
/// taken two seconds, else a plain line in each `interval`, and none of steps that are shorter.
class StepLines {
 public:
  explicit StepLines(std::chrono::milliseconds interval = std::chrono::seconds(10));
  ~StepLines();
  /// As TellStep says. Another `what` than before is the next step.
  void operator()(const char* what, size_t done, size_t all);

 private:
  bool terminal_, is_in_a_line_ = false;
  std::chrono::milliseconds interval_;
  std::string what_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace pyracast
