#include "production/memory_check.hpp"

#include <cassert>
#include <cstdio>

#include "base/counted.hpp"
#include "base/memory.hpp"
#include "production/sample_progress.hpp"
#include "runtime/device.hpp"
#include "runtime/node_weights.hpp"

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

NodeMemory plan_node_memory(const VideoModel& model, const ModelSettings& settings, const VideoRequest& request, const BroadcastPolicy& policy,
                            PlannedRank team, bool shares_weights) {
  const auto phase = [&](int ranks, const std::function<MemoryPlan(int rank, WeightStorage storage)>& plan_of) {
    PlannedWeights laid_down(false), found(true);
    NodePhase phase;
    phase.ranks_per_video = ranks;
    phase.node_first = plan_of(0, weight_storage(settings, shares_weights ? &laid_down : nullptr));
    phase.first = shares_weights ? plan_of(0, weight_storage(settings, &found)) : phase.node_first;
    if (ranks > 1) phase.other = plan_of(1, weight_storage(settings, shares_weights ? &found : nullptr));
    phase.shared_bytes = int64_t(laid_down.bytes());
    return phase;
  };
  NodeMemory memory;
  memory.videos = phase(team.ranks, [&](int rank, WeightStorage storage) {
    team.rank = rank;
    return plan_memory(model, storage, request, policy, team, planned_device(settings));
  });
  if (team.texts == TextEncoding::once && encodes_beforehand(settings, model))
    memory.texts = phase(1, [&](int, WeightStorage storage) { return plan_text_encoding(model, storage, request, planned_device(settings)); });
  return memory;
}

namespace {

/// Whether their exchanges go on beside computing.
bool overlaps_in_teams(const ModelSettings& settings, const std::string& comm, int ranks) {
  return transport_of(comm, settings.device, ranks) == Transport::nccl;
}

}  // namespace

PlannedRank rank_of_generate(const GenerateSettings& settings, int ranks, bool cfg_parallel, int idle_cores) {
  const bool on_gpus = planned_device(settings.model) != PlannedDevice::cpu;
  return {.ranks = ranks, .cfg_parallel = cfg_parallel, .beside = beside_in_teams(on_gpus, ranks, idle_cores), .texts = text_encoding(settings.model),
          .saves = !SaveInterval(settings.checkpoint_every).never(), .overlaps = overlaps_in_teams(settings.model, settings.comm, ranks)};
}

PlannedRank rank_without_folder(const ModelSettings& settings, const std::string& comm, int ranks, bool cfg_parallel, bool decodes) {
  return {.ranks = ranks, .cfg_parallel = cfg_parallel, .texts = text_encoding_without_folder(settings), .decodes = decodes,
          .overlaps = overlaps_in_teams(settings, comm, ranks)};
}

std::string describe(const NodeMemory& memory) {
  const MemoryPlan& plan = memory.videos.node_first;
  const auto shared = [](const NodePhase& phase) {
    return phase.shared_bytes ? concat(", and the ranks of a node share ", size_text(phase.shared_bytes), " of weights") : "";
  };
  const bool loading = plan.most_is_loading();
  std::string text = concat("a rank takes at most ", size_text(plan.most_bytes()), " for tensors (", size_text(plan.weight_bytes),
                            " of weights), at ", loading ? "loading" : plan.most().doing);
  if (!loading && plan.beside == Beside::decoding) text += " with another video's decoding beside";
  if (plan.host_bytes > 0) text += concat(", and ", size_text(plan.host_bytes), " of the host's memory, pinned, for stored outputs");
  text += shared(memory.videos);
  if (memory.texts)
    text += concat("; before that, while texts are encoded, at most ", size_text(memory.texts->node_first.most_bytes()), shared(*memory.texts));
  return text;
}

std::string describe_use(const Backend& backend, int64_t planned) {
  return concat("memory, at most: ", size_text(backend.memory().most_in_use), " for tensors, ", size_text(planned),
                " planned for videos of the run's own size with the longest prompt; ", size_text(most_resident_bytes()),
                " resident, files that are mapped included");
}

namespace {

/// What teams of so many ranks take with stored outputs kept there.
using PlanOfPlace = std::function<NodeMemory(int ranks, OutputPlace place)>;

/// "use A, B, or C" of those that are not empty.
std::string one_of(std::vector<std::string> ways) {
  std::erase(ways, "");
  if (ways.empty()) return "it takes a machine with more";
  std::string text = "use ";
  for (size_t i = 0; i < ways.size(); ++i) text += concat(i == 0 ? "" : i + 1 < ways.size() ? ", " : ", or ", ways[i]);
  return text;
}

std::string text_where(bool holds, std::string text) { return holds ? std::move(text) : std::string(); }

/// What leaves memory to the videos, where it is not done yet.
std::string text_advice(const NodeMemory& memory, const WaysOut& ways_out) {
  return text_where(!memory.texts && !ways_out.text_encoding.empty(),
                    concat("--text-encoding ", ways_out.text_encoding, " where it is not used yet"));
}

NodeMemory fit_processors(const NodeRoom& room, const VideosToFit& videos, const PlanOfPlace& plan_of) {
  const int ranks = videos.rank.ranks;
  NodeMemory memory = plan_of(ranks, OutputPlace::device);
  const int64_t teams = room.ranks / ranks, wanted = memory.bytes(teams);
  if (wanted <= room.host_bytes) return memory;
  int64_t fitting = teams - 1;
  while (fitting > 0 && memory.bytes(fitting) > room.host_bytes) --fitting;
  const bool at_texts = memory.videos.bytes(teams) <= room.host_bytes;
  const std::string takes = at_texts ? concat("encoding texts takes ", size_text(memory.texts->bytes_of_team()), " for tensors on each rank")
      : concat("videos of this size take ", size_text(memory.videos.bytes_of_team()), " for tensors on each team of ", counted(ranks, "rank"));
  const WaysOut& out = videos.ways_out;
  fail(takes, ", so ", size_text(wanted), " on a node with ", counted(room.ranks, "rank"), ", which has ", size_text(room.host_bytes), ": ",
       one_of({text_where(fitting > 0, concat("at most ", counted(fitting * ranks, "rank"), " a node")), text_advice(memory, out),
               text_where(out.other_videos, "--dtype bfloat16 where it is not used yet"), text_where(out.larger_teams, "more ranks a video"),
               text_where(out.other_videos, "smaller videos")}));
}

bool fits_gpu(const NodeMemory& memory, const NodeRoom& room) { return room.ranks_of_gpu * memory.most_of_rank() <= room.gpu_bytes; }
int64_t host_bytes(const NodeMemory& memory, const NodeRoom& room) {
  return room.ranks / memory.videos.ranks_per_video * memory.videos.host_bytes_of_team();
}
bool fits(const NodeMemory& memory, const NodeRoom& room) { return fits_gpu(memory, room) && host_bytes(memory, room) <= room.host_bytes; }

std::vector<OutputPlace> places(std::optional<OutputPlace> wanted) {
  return wanted ? std::vector{*wanted} : std::vector{OutputPlace::device, OutputPlace::host};
}

/// What to use where `memory` does not fit.
std::string what_would_fit(const NodeRoom& room, const VideosToFit& videos, std::optional<OutputPlace> wanted, const NodeMemory& memory,
                           const PlanOfPlace& plan_of) {
  const auto fits_in_one_of = [&](int ranks, const std::vector<OutputPlace>& in) {
    return std::any_of(in.begin(), in.end(), [&](OutputPlace place) { return fits(plan_of(ranks, place), room); });
  };
  if (wanted && fits_in_one_of(videos.rank.ranks, places({}))) return "--stored-outputs auto";
  NodeRoom with_one = room;
  with_one.ranks_of_gpu = 1, with_one.ranks = room.ranks / room.ranks_of_gpu;
  if (room.ranks_of_gpu > 1 && fits(memory, with_one)) return "one rank a GPU";
  for (int ranks = 2 * videos.rank.ranks; videos.ways_out.larger_teams && ranks <= room.ranks; ranks *= 2)
    if (room.ranks % ranks == 0 && fits_in_one_of(ranks, places(wanted))) return concat("--ranks-per-video ", ranks);
  return "";
}

std::pair<OutputPlace, NodeMemory> fit_gpus(const NodeRoom& room, const VideosToFit& videos, const PlanOfPlace& plan_of) {
  const std::optional<OutputPlace> wanted = stored_outputs(videos.settings);
  NodeMemory memory;
  for (const OutputPlace place : places(wanted))
    if (memory = plan_of(videos.rank.ranks, place); fits(memory, room)) return {place, memory};
  const std::string fitting = what_would_fit(room, videos, wanted, memory, plan_of);
  const auto ways = [&](std::string way) {
    std::vector<std::string> all{fitting, std::move(way)};
    if (videos.ways_out.other_videos)
      all.insert(all.end(), {"--dtype bfloat16 where it is not used yet", "a broadcast schedule that stores less", "smaller videos"});
    return one_of(all);
  };
  const int64_t on_host = host_bytes(memory, room);
  if (fits_gpu(memory, room))
    fail("stored outputs of videos of this size take ", size_text(memory.videos.host_bytes_of_team()), " of the host's memory for each team of ",
         videos.rank.ranks, ", so ", size_text(on_host), " on a node with ", counted(room.ranks, "rank"), ", which has ", size_text(room.host_bytes),
             ": ",
         ways("fewer ranks a node"));
  const bool at_texts = room.ranks_of_gpu * memory.videos.most_of_rank() <= room.gpu_bytes;
  fail(at_texts ? "encoding texts takes " : "videos of this size take ", size_text(memory.most_of_rank()), " for tensors on a rank of a team of ",
       videos.rank.ranks, on_host > 0 ? ", stored outputs in the host's memory not counted" : "",
       room.ranks_of_gpu > 1 ? concat(", of which ", room.ranks_of_gpu, " compute on a GPU") : std::string(), ", and a GPU has ",
       size_text(room.gpu_bytes), " free for tensors: ", ways(text_advice(memory, videos.ways_out)));
}

}  // namespace

std::pair<OutputPlace, NodeMemory> fit_node(const NodeRoom& room, const VideosToFit& videos, bool shares_weights) {
  const PlanOfPlace plan_of = [&](int ranks, OutputPlace place) {
    PlannedRank rank = videos.rank;
    rank.ranks = ranks;
    rank.stored_outputs = place;
    const auto bytes_of = [](const NodeMemory& memory) { return memory.videos.bytes_of_team() + memory.videos.host_bytes_of_team(); };
    std::optional<NodeMemory> most;
    for (VideoRequest request : videos.requests)
      for (const BroadcastPolicy& policy : videos.policies) {
        request.prompt = longest_prompt();
        NodeMemory memory = plan_node_memory(videos.model, videos.settings, request, policy, rank, shares_weights);
        if (!most || bytes_of(memory) > bytes_of(*most)) most = std::move(memory);
      }
    assert(most.has_value());
    return *most;
  };
  if (room.ranks_of_gpu > 0) return fit_gpus(room, videos, plan_of);
  return {OutputPlace::device, fit_processors(room, videos, plan_of)};
}

void fit_first_alone(const Ranks& ranks, const Backend& backend, const VideosToFit& videos) {
  ranks.on_first([&] {
    const bool on_gpu = videos.settings.device == "cuda";
    fit_node({.ranks = 1, .ranks_of_gpu = on_gpu, .host_bytes = memory_limit(), .gpu_bytes = on_gpu ? backend.memory().available : 0}, videos, false);
  });
}

PlannedMemory fit_ranks(const Ranks& ranks, bool leads, const Backend& backend, const VideosToFit& videos) {
  std::array<int64_t, 3> most{};
  auto place = int(OutputPlace::device);
  NodeRoom room{.ranks = ranks.ranks_of_nodes().front()};
  if (videos.settings.device == "cuda") room.ranks_of_gpu = gpu_of(ranks, videos.shares_gpus).ranks;
  ranks.on_first([&] {
    room.host_bytes = memory_limit();
    if (room.ranks_of_gpu > 0) room.gpu_bytes = backend.memory().available;
    const auto [fitting, memory] = fit_node(room, videos, shares_weights(ranks, videos.settings));
    if (videos.tells) std::fprintf(stderr, "pyracast: %s\n", describe(memory).c_str());
    place = int(fitting);
    most = memory.most_of_ranks();
  });
  check_mpi(MPI_Bcast(most.data(), int(most.size()), MPI_INT64_T, 0, ranks.world()), "sharing the plan of memory");
  check_mpi(MPI_Bcast(&place, 1, MPI_INT, 0, ranks.world()), "sharing where stored outputs are kept");
  return {most[ranks.node().rank() == 0 ? 0 : leads ? 1 : 2], OutputPlace(place)};
}

}  // namespace pyracast
