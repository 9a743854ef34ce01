#pragma once
// How long a list of work takes teams that each take the next one as soon as they are free: how WorkQueue deals videos out.
#include <cstdint>
#include <span>
#include <vector>

namespace pyracast {

/// Equal pieces of work that follow each other in the list.
struct WorkGroup {
  double seconds = 0;   ///< of one
  uint64_t count = 0;
};

/// When each of `teams` (1 or more) teams has ended, in seconds from its beginning, ascending: the list is dealt out in its order, each
/// piece to a team that is free first. Takes time by groups and teams, not by pieces.
std::vector<double> ends_of_teams(std::span<const WorkGroup> list, size_t teams);

/// When the last one has ended.
double makespan(std::span<const WorkGroup> list, size_t teams);

}  // namespace pyracast
