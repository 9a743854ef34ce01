#include "pab/pyramid.hpp"

#include <algorithm>

namespace pyracast {

namespace {

void broadcast_attention(BroadcastSchedule& schedule, const BroadcastRange& range, Branch branch,
                         std::span<const int64_t> timesteps, int counter_period, int phase) {
  if (!range.enabled) return;
  for (int e = 0; e < schedule.evaluations(); ++e) {
    const int counter = (phase + e) % counter_period;
    const bool inside = range.low < timesteps[size_t(e)] && timesteps[size_t(e)] < range.high;
    if (inside && counter % range.range != 0)
      for (int block = 0; block < schedule.blocks(); ++block) schedule.set_reuse(e, {branch, block}, true);
  }
}

// A key's window is the evaluations behind the first one with its timestep. The first key whose window holds an
// evaluation's timestep decides, and only for the blocks it lists.
void broadcast_mlp(BroadcastSchedule& schedule, const std::vector<MlpBroadcast>& keys, Branch branch,
                   std::span<const int64_t> timesteps, int video) {
  const auto grid = timesteps.first(std::min(timesteps.size(), size_t(video)));
  for (int e = 0; e < schedule.evaluations(); ++e) {
    const int64_t timestep = timesteps[size_t(e)];
    for (int block = 0; block < schedule.blocks(); ++block) {
      const auto lists = [&](const MlpBroadcast& key) {
        return std::count(key.blocks.begin(), key.blocks.end(), block) > 0;
      };
      const bool stores = std::any_of(keys.begin(), keys.end(), [&](const MlpBroadcast& key) {
        return key.timestep == timestep && lists(key);
      });
      if (stores) continue;   // computed, and kept for its window
      for (const MlpBroadcast& key : keys) {
        const auto start = std::find(grid.begin(), grid.end(), key.timestep);
        if (start == grid.end()) continue;
        const auto window = std::span(start, std::min<int64_t>(key.skip_count + 1, grid.end() - start));
        if (std::count(window.begin(), window.end(), timestep) == 0) continue;
        if (lists(key)) schedule.set_reuse(e, {branch, block}, true);
        break;
      }
    }
  }
}

}  // namespace

BroadcastSchedule pyramid_schedule(const PabSettings& settings, std::span<const int64_t> timesteps, int blocks,
                                   int counter_period, int phase, int video) {
  BroadcastSchedule schedule(int(timesteps.size()), blocks);
  if (!settings.enabled()) return schedule;
  const auto attention = [&](const BroadcastRange& range, Branch branch) {
    broadcast_attention(schedule, range, branch, timesteps, counter_period, phase);
  };
  attention(settings.spatial, Branch::spatial_attention);
  attention(settings.temporal, Branch::temporal_attention);
  attention(settings.cross, Branch::spatial_cross);
  attention(settings.cross, Branch::temporal_cross);
  if (settings.mlp) {
    const int of_video = video ? video : counter_period;
    broadcast_mlp(schedule, settings.spatial_mlp, Branch::spatial_mlp, timesteps, of_video);
    broadcast_mlp(schedule, settings.temporal_mlp, Branch::temporal_mlp, timesteps, of_video);
  }
  return schedule;
}

}  // namespace pyracast
