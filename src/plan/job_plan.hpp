#pragma once
// How long a manifest takes a machine, and by which teams its videos are best made.
#include <functional>
#include <optional>

#include "plan/machine.hpp"
#include "plan/makespan.hpp"

namespace pyracast {

/// Videos that take the same time.
struct VideoShape {
  int64_t height = 0, width = 0, frames = 0;   ///< pixels; frames of a clip
  int steps = 0, clips = 1;
  auto operator<=>(const VideoShape&) const = default;
  double pixels() const { return double(height) * double(width) * double(frames) * clips; }
  /// In the unit by which the queue orders prompts.
  double cost() const { return pixels() * steps; }
};
std::string name_of(const VideoShape& shape);   ///< "48 x 64, 17 frames, 30 steps"

/// The prompts of a manifest by shape: how many there are with so many samples each.
struct Bucket {
  VideoShape shape;
  std::map<int, uint64_t> prompts;
  uint64_t samples() const;
};

/// What a video takes of a team.
struct TeamDemand {
  VideoWork work;
  Beside beside = Beside::nothing;            ///< what of it goes on while the next one is made
  double audited = 0;                         ///< share of the videos that are also made without reuse, and waited for at once
  VideoWork audit = {};                       ///< what that takes besides
  int64_t first_bytes = 0, other_bytes = 0;   ///< of tensors: of the team's first rank, of any other
  int64_t once_bytes = 0;                     ///< that a node's teams share: weights
  int64_t text_bytes = 0, text_once_bytes = 0;   ///< of each rank and of the node while texts are encoded, where that is done beforehand
  int64_t host_bytes = 0;                     ///< of the node's memory besides, that a team's outputs take which GPUs store there
  /// What first_bytes, other_bytes and host_bytes are where stored outputs are moved to the host's memory, since they do not fit the GPUs'.
  struct Offloaded {
    int64_t first_bytes = 0, other_bytes = 0, host_bytes = 0;
  };
  std::optional<Offloaded> offloaded = {};    ///< none: they cannot be
  bool may_offload = true;                    ///< false: they are not, and it is only said where they would fit
  std::string refusal = {};                   ///< why such a team cannot make it; empty: it can
};
using AskTeam = std::function<TeamDemand(const VideoShape&, TeamLayout)>;

/// What must hold besides.
struct PlanWishes {
  std::optional<double> latency;              ///< seconds from a video's beginning until it is on disk, at most
  int ranks = 0;                              ///< of a team; 0: any
  bool halves_only = false;                   ///< guidance parallel and nothing else
};

/// One way to make the videos of a bucket.
struct TeamCandidate {
  TeamLayout layout;
  double seconds = 0;                         ///< of a team for one video, its text included
  double latency = 0;
  double videos_per_hour = 0;                 ///< of a node
  int64_t first_bytes = 0, other_bytes = 0, node_bytes = 0;   ///< of tensors
  int64_t host_bytes = 0;                     ///< of the node's memory besides GPUs', for stored outputs
  bool measured = false;                      ///< else estimated from one rank
  double error = 0;                           ///< of `seconds`, relative
  std::string obstacle;                       ///< why it cannot be; empty: it can
};

struct BucketPlan {
  Bucket bucket;
  std::vector<TeamCandidate> candidates;      ///< of every layout that fills the machine's node
  const TeamCandidate* best() const;          ///< most videos an hour, of equals the fewest ranks; null: none can be
  const TeamCandidate* of(TeamLayout layout) const;
};

/// A manifest on a machine.
struct JobPlan {
  std::vector<BucketPlan> buckets;            ///< longest first
  TeamLayout layout;                          ///< of the whole job: least core time for the whole manifest
  int nodes = 1;
  uint64_t videos = 0;
  double start_up = 0;
  std::vector<WorkGroup> list;                ///< as the queue deals it out to the teams
  double wall_seconds = 0, error = 0;         ///< error: of wall_seconds, relative
  double video_bytes = 0, shard_bytes = 0;    ///< of all; without arrays that are kept on request
  double bytes_error = 0, shard_bytes_error = 0;   ///< of video_bytes, of shard_bytes, relative
  int64_t first_bytes = 0, other_bytes = 0, node_bytes = 0;   ///< of tensors, at most
  int64_t host_bytes = 0;                     ///< of a node's memory besides GPUs', for stored outputs
};

BucketPlan plan_bucket(const Bucket& bucket, const Machine& machine, const PlanWishes& wishes, const AskTeam& ask);

/// Throws Error, which says why, where no layout can make all of the manifest. `buckets` is not empty.
JobPlan plan_job(const std::vector<Bucket>& buckets, const Machine& machine, int nodes, const PlanWishes& wishes, const AskTeam& ask);

/// The work of all prompts as the queue deals it out: longest first by its own measure of cost, a prompt's samples together and at
/// most `most_samples` at once.
std::vector<WorkGroup> queue_of(const std::vector<Bucket>& buckets, const std::function<double(const VideoShape&, int samples)>& seconds,
                                int most_samples = 64);

}  // namespace pyracast
