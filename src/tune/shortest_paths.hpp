#pragma once
// The exact part of the search: where errors of segments add up, the best table is a shortest path through each group's
// evaluations, and the paths are joined under one budget as a multiple-choice knapsack.
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace pyracast {

/// The error of computing a group at evaluation `computed` and reusing that output in the next `reused` ones (0: none).
using SegmentError = std::function<double(int computed, int reused)>;

/// One way through the evaluations of a group of sites.
struct GroupPath {
  double error = 0;
  int64_t cost = 0;
  std::vector<bool> reuse;   ///< [evaluations]; the first is never reused
};

/// Element n - 1: of all paths that compute the group n times, one of the least error. `cost`: of computing it once.
std::vector<GroupPath> shortest_paths(int evaluations, const SegmentError& error, int64_t cost);

/// Which path of each group: the least sum of errors whose costs sum up to at most `budget`; nothing where none is that
/// cheap. Exact; time and memory grow with budget x groups.
std::optional<std::vector<size_t>> least_error(const std::vector<std::vector<GroupPath>>& groups, int64_t budget);

}  // namespace pyracast
