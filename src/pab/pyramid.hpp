#pragma once
// Pyramid Attention Broadcast (Zhao et al., arXiv 2408.12588) as its published implementation decides: the rule, and
// nothing else, as a function from settings to a BroadcastSchedule.
#include <cstdint>
#include <map>

#include "pab/broadcast_schedule.hpp"

namespace pyracast {

/// One kind of attention: inside low < timestep < high only every `range`-th evaluation is computed.
struct BroadcastRange {
  bool enabled = false;
  int range = 1;
  int64_t low = 0, high = 0;
};

/// MLP outputs computed at a timestep are reused in the next `skip_count` evaluations, in these blocks.
struct MlpBroadcast {
  int64_t timestep = 0;
  std::vector<int> blocks;
  int skip_count = 0;
};

struct PabSettings {
  BroadcastRange spatial, temporal, cross;
  bool mlp = false;
  std::vector<MlpBroadcast> spatial_mlp, temporal_mlp;   ///< tried in this order

  /// Without any attention broadcast the published implementation does nothing, whatever `mlp` says.
  bool enabled() const { return spatial.enabled || temporal.enabled || cross.enabled; }
};

/// The published rule over `timesteps` (integers, one an evaluation) of one video, or several in a row. Counters start at
/// `phase` and wrap at `counter_period` (the number of steps of one video). `video`: evaluations of one video, where they
/// are more than its steps; 0: as many.
BroadcastSchedule pyramid_schedule(const PabSettings& settings, std::span<const int64_t> timesteps, int blocks,
                                   int counter_period, int phase = 0, int video = 0);

}  // namespace pyracast
