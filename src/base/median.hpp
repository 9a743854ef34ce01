#pragma once
#include <algorithm>
#include <vector>

namespace pyracast {

/// The middle of the values in their order, of an even number the upper of the two; 0 of none.
inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  const auto middle = values.begin() + long(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace pyracast
