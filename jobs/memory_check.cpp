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

std::array<int64_t, 3> NodeMemory::most_of_ranks() const {
  const auto most = [](const MemoryPlan& a, const MemoryPlan* b) { return std::max(a.most_bytes(), b ? b->most_bytes() : 0); };
  return {most(videos.node_first, texts ? &texts->node_first : nullptr), most(videos.first, texts ? &texts->first : nullptr),
          most(videos.other, texts ? &texts->first : nullptr)};
}

NodeMemory plan_node_memory(const VideoModel& model, const GenerateSettings& settings, const VideoRequest& request, const BroadcastPolicy& policy,
                            PlannedRank team, bool shares_weights) {
  const auto phase = [&](int ranks, const std::function<MemoryPlan(int rank, WeightStorage storage)>& plan_of) {
    PlannedWeights laid_down(false), found(true);
    NodePhase phase;
    phase.ranks_per_video = ranks;
    phase.node_first = plan_of(0, weight_storage(settings.model, shares_weights ? &laid_down : nullptr));
    phase.first = shares_weights ? plan_of(0, weight_storage(settings.model, &found)) : phase.node_first;
    if (ranks > 1) phase.other = plan_of(1, weight_storage(settings.model, shares_weights ? &found : nullptr));
    phase.shared_bytes = int64_t(laid_down.bytes());
    return phase;
  };
  team.texts = text_encoding(settings.model);
  if (planned_device(settings.model) != PlannedDevice::cpu) team.beside = Beside::leaving;
  NodeMemory memory;
  memory.videos = phase(team.ranks, [&](int rank, WeightStorage storage) {
    team.rank = rank;
    return plan_memory(model, storage, request, policy, team, !SaveInterval(settings.checkpoint_every).never(), planned_device(settings.model));
  });
  if (encodes_beforehand(settings.model, model))
    memory.texts = phase(1, [&](int, WeightStorage storage) { return plan_text_encoding(model, storage, request, planned_device(settings.model)); });
  return memory;
}

namespace {

/// What leaves memory to the videos, where it is not done yet.
std::string text_advice(const NodeMemory& memory) {
  return memory.texts ? "" : "--text-encoding once where it is not used yet, ";
}

}  // namespace

std::string describe(const NodeMemory& memory) {
  const MemoryPlan& plan = memory.videos.node_first;
  const auto shared = [](const NodePhase& phase) {
    return phase.shared_bytes ? concat(", and the ranks of a node share ", size_text(phase.shared_bytes), " of weights") : "";
  };
  std::string before;
  if (memory.texts)
    before = concat("; before that, while texts are encoded, at most ", size_text(memory.texts->node_first.most_bytes()), shared(*memory.texts));
  return concat("a rank takes at most ", size_text(plan.most_bytes()), " for tensors (", size_text(plan.weight_bytes), " of weights), at ",
                plan.most_is_loading() ? "loading" : plan.most().doing, plan.most_is_loading() ? "" : plan.beside == Beside::decoding ? " with another video's decoding beside" : "",
                shared(memory.videos), before);
}

std::string describe_use(const Backend& backend, int64_t planned) {
  return concat("memory, at most: ", size_text(backend.memory().most_in_use), " for tensors, ", size_text(planned),
                " planned for videos of the run's own size with the longest prompt; ", size_text(most_resident_bytes()),
                " resident, files that are mapped included");
}

void check_memory(const NodeMemory& memory, int ranks_of_node, int64_t limit) {
  const int64_t ranks = memory.videos.ranks_per_video, teams = ranks_of_node / ranks, wanted = memory.bytes(teams);
  if (wanted <= limit) return;
  int64_t fitting = teams - 1;
  while (fitting > 0 && memory.bytes(fitting) > limit) --fitting;
  const bool at_texts = memory.videos.bytes(teams) <= limit;
  const std::string takes = at_texts ? concat("encoding texts takes ", size_text(memory.texts->bytes_of_team()), " for tensors on each rank")
      : concat("videos of this size take ", size_text(memory.videos.bytes_of_team()), " for tensors on each team of ", ranks, " ranks");
  fail(takes, ", so ", size_text(wanted), " on a node with ", ranks_of_node, " ranks, which has ", size_text(limit), ": ",
       fitting > 0 ? concat("use at most ", fitting * ranks, " ranks a node, ") : std::string(),
       text_advice(memory),
       "--dtype bfloat16 where it is not used yet, more ranks a video, or smaller videos");
}

void check_gpu_memory(const NodeMemory& memory, int ranks_of_gpu, int ranks_of_node, int64_t limit,
                      const std::function<int64_t(int)>& of_larger_team) {
  const int64_t wanted = ranks_of_gpu * memory.most_of_rank();
  if (wanted <= limit) return;
  std::string fitting = ranks_of_gpu > 1 && memory.most_of_rank() <= limit ? "one rank a GPU, " : "";
  for (int ranks = 2 * memory.videos.ranks_per_video; ranks <= ranks_of_node && fitting.empty(); ranks *= 2)
    if (ranks_of_node % ranks == 0 && ranks_of_gpu * of_larger_team(ranks) <= limit) fitting = concat("--ranks-per-video ", ranks, ", ");
  const bool at_texts = ranks_of_gpu * memory.videos.most_of_rank() <= limit;
  fail(at_texts ? "encoding texts takes " : "videos of this size take ", size_text(memory.most_of_rank()), " for tensors on a rank of a team of ",
       memory.videos.ranks_per_video, ranks_of_gpu > 1 ? concat(", of which ", ranks_of_gpu, " compute on a GPU") : std::string(), ", and a GPU has ",
       size_text(limit), " free: use ", fitting, text_advice(memory), "--dtype bfloat16 where it is not used yet, a broadcast schedule that stores less, or smaller videos");
}

}  // namespace pyracast
