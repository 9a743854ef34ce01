#include "jobs/memory_check.hpp"

#include <cstdio>

#include "base/memory.hpp"
#include "jobs/device.hpp"
#include "jobs/sample_progress.hpp"

namespace pyracast {

std::string size_text(int64_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  char text[32];
  std::snprintf(text, sizeof text, mib < 1024 ? "%.1f MiB" : "%.2f GiB", mib < 1024 ? mib : mib / 1024);
  return text;
}

NodeMemory plan_node_memory(const VideoModel& model, const GenerateSettings& settings, const VideoRequest& request, const BroadcastPolicy& policy,
                            PlannedRank team, bool shares_weights) {
  const auto plan_of = [&](int rank, SharedWeights* shared) {
    team.rank = rank;
    return plan_memory(model, weight_storage(settings.model, shared), request, policy, team, !SaveInterval(settings.checkpoint_every).never(),
                       planned_device(settings.model));
  };
  PlannedWeights laid_down(false), found(true);
  NodeMemory memory;
  memory.ranks_per_video = team.ranks;
  memory.node_first = plan_of(0, shares_weights ? &laid_down : nullptr);
  memory.first = shares_weights ? plan_of(0, &found) : memory.node_first;
  if (memory.ranks_per_video > 1) memory.other = plan_of(1, shares_weights ? &found : nullptr);
  memory.shared_bytes = int64_t(laid_down.bytes());
  return memory;
}

std::string describe(const NodeMemory& memory) {
  const MemoryPlan& plan = memory.node_first;
  const std::string shared = memory.shared_bytes ? concat(", and the ranks of a node share ", size_text(memory.shared_bytes), " of weights") : "";
  return concat("a rank takes at most ", size_text(plan.most_bytes()), " for tensors (", size_text(plan.weight_bytes), " of weights), at ",
                plan.most_is_loading() ? "loading" : plan.most().doing, plan.decodes_beside && !plan.most_is_loading() ? " with another video's decoding beside" : "",
                shared);
}

std::string describe_use(const Backend& backend, int64_t planned) {
  return concat("memory, at most: ", size_text(backend.memory().most_in_use), " for tensors, ", size_text(planned),
                " planned for videos of the run's own size with the longest prompt; ", size_text(most_resident_bytes()),
                " resident, files that are mapped included");
}

void check_memory(const NodeMemory& memory, int ranks_of_node, int64_t limit) {
  const int64_t teams = ranks_of_node / memory.ranks_per_video, wanted = memory.bytes(teams);
  if (wanted <= limit) return;
  int64_t fitting = teams - 1;
  while (fitting > 0 && memory.bytes(fitting) > limit) --fitting;
  fail("videos of this size take ", size_text(memory.bytes_of_team()), " for tensors on each team of ", memory.ranks_per_video, " ranks, so ",
       size_text(wanted), " on a node with ", ranks_of_node, " ranks, which has ", size_text(limit), ": ",
       fitting > 0 ? concat("use at most ", fitting * memory.ranks_per_video, " ranks a node, ") : std::string(),
       "--dtype bfloat16 where it is not used yet, more ranks a video, or smaller videos");
}

void check_gpu_memory(const NodeMemory& memory, int ranks_of_gpu, int ranks_of_node, int64_t limit,
                      const std::function<int64_t(int)>& of_larger_team) {
  const int64_t wanted = ranks_of_gpu * memory.most_of_rank();
  if (wanted <= limit) return;
  std::string fitting = ranks_of_gpu > 1 && memory.most_of_rank() <= limit ? "one rank a GPU, " : "";
  for (int ranks = 2 * memory.ranks_per_video; ranks <= ranks_of_node && fitting.empty(); ranks *= 2)
    if (ranks_of_node % ranks == 0 && ranks_of_gpu * of_larger_team(ranks) <= limit) fitting = concat("--ranks-per-video ", ranks, ", ");
  fail("videos of this size take ", size_text(memory.most_of_rank()), " for tensors on a rank of a team of ", memory.ranks_per_video,
       ranks_of_gpu > 1 ? concat(", of which ", ranks_of_gpu, " compute on a GPU") : std::string(), ", and a GPU has ", size_text(limit), " free: use ",
       fitting, "--dtype bfloat16 where it is not used yet, a broadcast schedule that stores less, or smaller videos");
}

}  // namespace pyracast
