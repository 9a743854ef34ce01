#include "pab/branch_changes.hpp"

#include <cassert>

namespace pyracast {

Change change(std::span<const float> before, std::span<const float> now) {
  assert(!before.empty() && before.size() == now.size());
  double difference = 0, size = 0;
  for (size_t i = 0; i < before.size(); ++i) {
    const double d = double(now[i]) - double(before[i]);
    difference += d * d;
    size += double(before[i]) * double(before[i]);
  }
  return {difference / double(before.size()), difference / size};   // 0 / 0 is not a number, as promised
}

void BranchChanges::see(Site site, const Tensor& output) {
  std::vector<float> now = output.to_host();
  std::vector<float>& before = before_[site];
  std::vector<Change>& changes = changes_[site];
  if (!before.empty()) changes.push_back(change(before, now));
  before = std::move(now);
}

}  // namespace pyracast
