#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "pab/broadcast_schedule.hpp"

namespace pyracast {

/// Branches in some blocks of the network, which a search computes and reuses together; without any, the unconditional half of guidance.
struct SiteGroup {
  std::vector<Branch> branches;
  std::vector<int> blocks;

  bool is_half() const { return branches.empty(); }
};

/// What is reused: [group][evaluation]; evaluation 0 never.
using ReuseTable = std::vector<std::vector<bool>>;

/// What denoising costs, in whole units: each evaluation something that no reuse of branches saves, and each group that is computed.
struct ReuseCosts {
  int64_t evaluation = 0;
  std::vector<int64_t> groups;   ///< of computing a group once
  /// The group that is the unconditional half of guidance. Then all costs are those of one half, and an evaluation that does not reuse
  /// it has them twice; its own is of no meaning.
  std::optional<size_t> half = std::nullopt;

  int64_t of(const ReuseTable& table) const;
  /// What reusing an entry saves, with the others as they are.
  int64_t saved_by(const ReuseTable& table, size_t group, int evaluation) const;
};

/// Every branch in `parts` runs of blocks whose lengths differ by one at most; as many as blocks where there are fewer.
std::vector<SiteGroup> site_groups(int blocks, int parts);

/// The groups of branches as one, and the unconditional half if it is among them.
std::vector<SiteGroup> as_one(const std::vector<SiteGroup>& groups);

/// A table over groups as one over others, each of which is part of one of them; what is not is never reused.
ReuseTable over_groups(const ReuseTable& table, const std::vector<SiteGroup>& groups, const std::vector<SiteGroup>& others);

/// Everything is computed.
ReuseTable all_computed(size_t groups, int evaluations);

}  // namespace pyracast
