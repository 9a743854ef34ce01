#include "plan/makespan.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <queue>

#include "base/error.hpp"

namespace pyracast {

namespace {

/// Deals out as many pieces of `seconds` as surely all begin before any other would, at most `count`; gives how many. Teams begin
/// pieces at end, end + seconds, …: all begun before a moment go before all that are begun behind it.
uint64_t deal_at_once(std::vector<double>& ends, double seconds, uint64_t count) {
  const auto [first, last] = std::minmax_element(ends.begin(), ends.end());
  const auto begun_before = [&](double end, double moment) { return end < moment ? uint64_t(std::ceil((moment - end) / seconds)) : uint64_t(0); };
  const auto begun = [&](double moment) {
    uint64_t all = 0;
    for (const double end : ends) all += begun_before(end, moment);
    return all;
  };
  double low = *first, high = *last + seconds * (double(count) / double(ends.size()) + 2);
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = (low + high) / 2;
    (begun(middle) <= count ? low : high) = middle;
  }
  const uint64_t dealt = begun(low);
  for (double& end : ends) end += double(begun_before(end, low)) * seconds;
  return dealt;
}

}  // namespace

std::vector<double> ends_of_teams(std::span<const WorkGroup> list, size_t teams) {
  require(teams > 0, "work is dealt out to 0 teams, expected 1 or more");
  std::vector<double> ends(teams, 0.0);
  for (const WorkGroup& group : list) {
    if (group.seconds <= 0) continue;
    uint64_t left = group.count;
    if (left > 4 * teams) left -= deal_at_once(ends, group.seconds, left);
    std::priority_queue<double, std::vector<double>, std::greater<>> free(std::greater<>(), std::move(ends));
    for (; left > 0; --left) {
      const double end = free.top() + group.seconds;
      free.pop();
      free.push(end);
    }
    ends.clear();
    for (; !free.empty(); free.pop()) ends.push_back(free.top());
  }
  return ends;
}

double makespan(std::span<const WorkGroup> list, size_t teams) { return ends_of_teams(list, teams).back(); }

}  // namespace pyracast
