#pragma once
#include <algorithm>
#include <array>

#include "comm/ranks.hpp"
#include "jobs/job_settings.hpp"
#include "jobs/video_requests.hpp"
#include "pipeline/memory_plan.hpp"

namespace pyracast {

/// What one thing that the ranks of a node do takes: of the host's memory, or each rank of its GPU's.
struct NodePhase {
  MemoryPlan node_first;      ///< of the node's first rank, which reads the weights for all where they are shared
  MemoryPlan first, other;    ///< of a team's first rank, and of any other
  int ranks_per_video = 1;
  int64_t shared_bytes = 0;   ///< weights that all ranks of the node share

  int64_t most_of_rank() const { return std::max(first.most_bytes(), other.most_bytes()); }
  int64_t bytes_of_team() const { return first.most_bytes() + (ranks_per_video - 1) * other.most_bytes(); }
  /// Of the host's memory, that stored outputs of a team on GPUs take.
  int64_t host_bytes_of_team() const { return first.host_bytes + (ranks_per_video - 1) * other.host_bytes; }
  /// What is there once, however many teams the node has.
  int64_t bytes_once() const { return shared_bytes + node_first.most_bytes() - first.most_bytes(); }
  int64_t bytes(int64_t teams) const { return bytes_once() + teams * bytes_of_team(); }
};

/// What the videos of a node take, and before them, where that is done beforehand, the encoding of texts by each rank for itself.
struct NodeMemory {
  NodePhase videos;
  std::optional<NodePhase> texts;

  int64_t bytes(int64_t teams) const { return std::max(videos.bytes(teams), texts ? texts->bytes(teams * videos.ranks_per_video) : 0); }
  int64_t most_of_rank() const { return std::max(videos.most_of_rank(), texts ? texts->most_of_rank() : 0); }
  /// The most that a rank takes at any time: the node's first one, a team's first one, any other.
  std::array<int64_t, 3> most_of_ranks() const;
};
/// For such a video by teams like `team`'s. `shares_weights`: as the ranks of a node with several do.
NodeMemory plan_node_memory(const VideoModel& model, const GenerateSettings& settings, const VideoRequest& request, const BroadcastPolicy& policy,
                            PlannedRank team, bool shares_weights);

/// "15.4 MiB", "3.20 GiB".
std::string size_text(int64_t bytes);

/// "a rank takes at most 3.20 GiB for tensors (1.10 GiB of weights), at decoding", or "…, at decoding, and the ranks of a node share
/// 1.00 GiB of weights"; with what texts take before.
std::string describe(const NodeMemory& memory);

/// What this rank had in use, for its log: tensors beside the bytes that were planned, and resident memory.
std::string describe_use(const Backend& backend, int64_t planned);

/// Throws Error that says what would fit where the teams of a node with so many ranks take more than `limit` bytes.
void check_memory(const NodeMemory& memory, int ranks_of_node, int64_t limit);

/// Bytes that a node has for its ranks, `ranks_of_gpu` of which compute on the same GPU.
struct GpuNode {
  int ranks_of_gpu = 1, ranks = 1;
  int64_t gpu_bytes = 0, host_bytes = 0;
};
/// What teams of so many ranks take with stored outputs kept there.
using PlanOfPlace = std::function<NodeMemory(int ranks_per_video, OutputPlace stored_outputs)>;
/// Where teams on such a node keep stored outputs, and what they take then: where `wanted` says; else on the GPU, and in the host's memory where
/// they do not fit it. Throws Error that says what would fit where they fit neither.
std::pair<OutputPlace, NodeMemory> fit_gpus(const GpuNode& node, int ranks_per_video, std::optional<OutputPlace> wanted, const PlanOfPlace& plan_of);

}  // namespace pyracast
