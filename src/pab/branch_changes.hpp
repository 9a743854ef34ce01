#pragma once
#include <map>
#include <span>
#include <vector>

#include "pab/broadcast_schedule.hpp"
#include "tensor/tensor.hpp"

namespace pyracast {

/// How much an output differs from the one before it.
struct Change {
  double mse = 0;        ///< mean over all elements of (now - before)^2
  double relative = 0;   ///< mse / mean of before^2; not a number where `before` is all zeros
};

/// Both hold the same elements, at least one.
Change change(std::span<const float> before, std::span<const float> now);

/// How much the outputs of one video's branches change from each evaluation to the next. Of the outputs only those of one
/// evaluation are kept, in the host's memory.
class BranchChanges {
 public:
  /// The next output of `site`, computed on whole tokens (a team of one).
  void see(Site site, const Tensor& output);

  /// [evaluations - 1] of each site: element i is evaluation i + 1 against evaluation i.
  const std::map<Site, std::vector<Change>>& of_sites() const { return changes_; }

 private:
  std::map<Site, std::vector<float>> before_;
  std::map<Site, std::vector<Change>> changes_;
};

}  // namespace pyracast
