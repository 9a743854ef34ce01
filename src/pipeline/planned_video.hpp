#pragma once
#include <string>

#include "pab/broadcast_policy.hpp"
#include "plan/video_plan.hpp"

namespace pyracast {

/// What a plan needs to know of a video, from the published sizes of a model family: no weights are read.
struct PlannedVideo {
  BranchOrder order;
  Axis published;                       ///< the axis along which the published implementation lets tokens rest
  int blocks = 28;                      ///< pairs
  int64_t time = 0, space = 0;          ///< tokens of one of guidance's halves
  int64_t hidden = 1152;
  int64_t heads = 0;                    ///< of an attention over all tokens, for which they are exchanged; 0: attentions run along an axis
  std::vector<int64_t> timesteps;       ///< one an evaluation of the network
  int steps = 0;                        ///< that the user asked for; some samplers evaluate more often
};

/// A size of 0 stands for the family's published one.
struct PlannedSize {
  int64_t height = 0, width = 0, frames = 0;   ///< pixels; frames of a clip
  int steps = 0;
  std::string sampler = {};   ///< a name of sampler_names(); empty: the family's published one
};

/// Where tokens rest: as the published implementation lets them, or such that the least is sent.
enum class Placement { published, least };

/// What `rank` sends and stores for such a video. An attention over all tokens has one placement.
VideoPlan plan_video(const PlannedVideo& video, const BroadcastSchedule& schedule, const TokenParts& parts, int rank, int64_t token_bytes,
                     Placement placement);

/// `family`: opensora-1.2, latte-1, osp-1.1 or osp-1.2. `dtype`: in which timesteps are held (Open-Sora). Throws Error on
/// others, on sizes that cannot be, and on a sampler that does not fit the family.
PlannedVideo planned_video(const std::string& family, PlannedSize size, DType dtype);

}  // namespace pyracast
