#pragma once
// What a job's videos take of the memory of its nodes and GPUs, held against what these have before any weight is read: one decision for every
// command that makes videos.
#include <algorithm>
#include <array>

#include "comm/ranks.hpp"
#include "pipeline/memory_plan.hpp"
#include "settings/job_settings.hpp"

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
NodeMemory plan_node_memory(const VideoModel& model, const ModelSettings& settings, const VideoRequest& request, const BroadcastPolicy& policy,
                            PlannedRank team, bool shares_weights);

/// The ranks of `generate`'s teams: progress is saved, and texts may be encoded beforehand. `idle_cores`: of each rank.
PlannedRank rank_of_generate(const GenerateSettings& settings, int ranks, bool cfg_parallel, int idle_cores);
/// The ranks of other jobs' teams, which have no folder to keep such things in. `decodes`: false where latents are all that is wanted.
PlannedRank rank_without_folder(const ModelSettings& settings, const std::string& comm, int ranks, bool cfg_parallel, bool decodes);

/// "15.4 MiB", "3.20 GiB".
std::string size_text(int64_t bytes);

/// "a rank takes at most 3.20 GiB for tensors (1.10 GiB of weights), at decoding", or "…, at decoding, and the ranks of a node share
/// 1.00 GiB of weights"; with what texts take before.
std::string describe(const NodeMemory& memory);

/// What this rank had in use, for its log: tensors beside the bytes that were planned, and resident memory.
std::string describe_use(const Backend& backend, int64_t planned);

/// What a user may change where videos do not fit, as far as the command has settings for it.
struct WaysOut {
  bool larger_teams = true;                ///< --ranks-per-video
  std::string text_encoding = "once";      ///< what of --text-encoding leaves memory to the videos; empty: it cannot be set
  bool other_videos = true;                ///< dtype, broadcast schedule, size
};

/// The videos of a job: of all sizes with all policies that which takes the most counts.
struct VideosToFit {
  const VideoModel& model;
  const ModelSettings& settings;
  std::vector<VideoRequest> requests;      ///< their prompts are of no account: the longest is
  std::vector<BroadcastPolicy> policies;
  PlannedRank rank;                        ///< of a team; its place of stored outputs is decided here
  WaysOut ways_out = {};
  bool shares_gpus = false;                ///< ranks may compute on one GPU (--comm mpi)
  bool tells = true;                       ///< what a rank takes, on standard error
};

/// What a node has for its ranks.
struct NodeRoom {
  int ranks = 1;
  int ranks_of_gpu = 0;                    ///< that compute on the same GPU; 0: they compute on processors
  int64_t host_bytes = 0, gpu_bytes = 0;
};

/// Where the teams of such a node keep stored outputs, and what they take then: on GPUs where the settings say; where these say auto on the GPU,
/// and in the host's memory where they do not fit it. Throws Error that says what would fit where they fit neither, or the videos of all teams
/// do not fit a node without GPUs.
std::pair<OutputPlace, NodeMemory> fit_node(const NodeRoom& room, const VideosToFit& videos, bool shares_weights);

/// What the videos of a job take on this rank.
struct PlannedMemory {
  int64_t bytes = 0;                       ///< of tensors, at most
  OutputPlace stored_outputs = OutputPlace::device;
};
/// fit_node() of the first node, since nodes of a job are alike: rank 0 decides for all, and what it refuses is refused on all. `leads`: this is a
/// team's first rank. `backend` holds no tensors yet. All ranks call this.
PlannedMemory fit_ranks(const Ranks& ranks, bool leads, const Backend& backend, const VideosToFit& videos);
/// fit_node() of videos that rank 0 makes by itself while no other rank holds any; refused on all. All ranks call this.
void fit_first_alone(const Ranks& ranks, const Backend& backend, const VideosToFit& videos);

}  // namespace pyracast
