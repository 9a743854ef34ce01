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
  team.overlaps = transport_of(settings.comm, settings.model.device, team.ranks) == Transport::nccl;
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
                plan.host_bytes > 0 ? concat(", and ", size_text(plan.host_bytes), " of the host's memory, pinned, for stored outputs") : std::string(),
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

namespace {

bool fits_gpu(const NodeMemory& memory, const GpuNode& node) { return node.ranks_of_gpu * memory.most_of_rank() <= node.gpu_bytes; }
int64_t host_bytes(const NodeMemory& memory, const GpuNode& node) {
  return node.ranks / memory.videos.ranks_per_video * memory.videos.host_bytes_of_team();
}
bool fits(const NodeMemory& memory, const GpuNode& node) { return fits_gpu(memory, node) && host_bytes(memory, node) <= node.host_bytes; }

std::vector<OutputPlace> places(std::optional<OutputPlace> wanted) {
  return wanted ? std::vector{*wanted} : std::vector{OutputPlace::device, OutputPlace::host};
}

/// What to use where `memory`, of teams of so many ranks, does not fit.
std::string what_would_fit(const GpuNode& node, int ranks_per_video, std::optional<OutputPlace> wanted, const NodeMemory& memory, const PlanOfPlace& plan_of) {
  const auto fits_in_one_of = [&](int ranks, const std::vector<OutputPlace>& in) {
    return std::any_of(in.begin(), in.end(), [&](OutputPlace place) { return fits(plan_of(ranks, place), node); });
  };
  if (wanted && fits_in_one_of(ranks_per_video, places({}))) return "--stored-outputs auto, ";
  if (node.ranks_of_gpu > 1 && fits(memory, {1, node.ranks / node.ranks_of_gpu, node.gpu_bytes, node.host_bytes})) return "one rank a GPU, ";
  for (int ranks = 2 * ranks_per_video; ranks <= node.ranks; ranks *= 2)
    if (node.ranks % ranks == 0 && fits_in_one_of(ranks, places(wanted))) return concat("--ranks-per-video ", ranks, ", ");
  return "";
}

}  // namespace

std::pair<OutputPlace, NodeMemory> fit_gpus(const GpuNode& node, int ranks_per_video, std::optional<OutputPlace> wanted, const PlanOfPlace& plan_of) {
  NodeMemory memory;
  for (const OutputPlace place : places(wanted))
    if (memory = plan_of(ranks_per_video, place); fits(memory, node)) return {place, memory};
  const std::string fitting = what_would_fit(node, ranks_per_video, wanted, memory, plan_of);
  const std::string others = "--dtype bfloat16 where it is not used yet, a broadcast schedule that stores less, or smaller videos";
  const int64_t on_host = host_bytes(memory, node);
  if (fits_gpu(memory, node))
    fail("stored outputs of videos of this size take ", size_text(memory.videos.host_bytes_of_team()), " of the host's memory for each team of ", ranks_per_video,
         ", so ", size_text(on_host), " on a node with ", node.ranks, " ranks, which has ", size_text(node.host_bytes), ": use ", fitting,
         "fewer ranks a node, ", others);
  const bool at_texts = node.ranks_of_gpu * memory.videos.most_of_rank() <= node.gpu_bytes;
  fail(at_texts ? "encoding texts takes " : "videos of this size take ", size_text(memory.most_of_rank()), " for tensors on a rank of a team of ",
       ranks_per_video, on_host > 0 ? ", stored outputs in the host's memory not counted" : "",
       node.ranks_of_gpu > 1 ? concat(", of which ", node.ranks_of_gpu, " compute on a GPU") : std::string(), ", and a GPU has ",
       size_text(node.gpu_bytes), " free: use ", fitting, text_advice(memory), others);
}

}  // namespace pyracast
