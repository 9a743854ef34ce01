#pragma once
#include <cstdint>
#include <vector>

#include "pab/broadcast_schedule.hpp"

namespace pyracast {

/// A branch in some blocks of the network, which a search computes and reuses together.
struct SiteGroup {
  Branch branch;
  std::vector<int> blocks;
};

/// What is reused: [group][evaluation]; evaluation 0 never.
using ReuseTable = std::vector<std::vector<bool>>;

/// What denoising costs, in whole units: each evaluation something that no reuse saves, and each group that is computed.
struct ReuseCosts {
  int64_t evaluation = 0;
  std::vector<int64_t> groups;   ///< of computing a group once

  int64_t of(const ReuseTable& table) const {
    int64_t sum = table.empty() ? 0 : evaluation * int64_t(table.front().size());
    for (size_t g = 0; g < table.size(); ++g)
      for (const bool reused : table[g]) sum += reused ? 0 : groups[g];
    return sum;
  }
};

/// Every branch in `parts` runs of blocks whose lengths differ by one at most; as many as blocks where there are fewer.
std::vector<SiteGroup> site_groups(int blocks, int parts);

/// Everything is computed.
ReuseTable all_computed(size_t groups, int evaluations);

}  // namespace pyracast
