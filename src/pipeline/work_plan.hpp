#pragma once
#include "pipeline/memory_plan.hpp"
#include "plan/phase_cost.hpp"

namespace pyracast {

/// What one rank of a team does for one video, and the shapes of what it makes.
struct WorkPlan {
  VideoWork work;
  Shape latents, embedding;   ///< [channels, time, height, width] of a clip, [tokens, width]
};

/// Counted from the same calls on a device that only counts. Multiply-adds of a branch are those of the block that takes the least.
/// Throws Error as plan_memory does.
WorkPlan plan_work(const VideoModel& model, WeightStorage storage, const VideoRequest& request, const BroadcastPolicy& policy, const PlannedRank& of);

}  // namespace pyracast
