#include "dataset/time_left.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

namespace pyracast {

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

TimeLeft::TimeLeft(std::optional<double> seconds, std::function<double()> now)
    : now_(std::move(now)), end_(seconds ? now_() + *seconds : std::numeric_limits<double>::infinity()) {}

bool TimeLeft::suffices_for(double cost) const { return seconds() > guess(cost); }

void TimeLeft::took(double cost, double seconds) {
  if (cost <= 0) return;
  seconds_a_cost_.push_back(seconds / cost);
  if (seconds_a_cost_.size() > 8) seconds_a_cost_.pop_front();
}

double TimeLeft::guess(double cost) const {
  return seconds_a_cost_.empty() ? 0 : cost * *std::max_element(seconds_a_cost_.begin(), seconds_a_cost_.end());
}

}  // namespace pyracast
