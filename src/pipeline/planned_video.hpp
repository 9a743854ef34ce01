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
  std::vector<int64_t> timesteps;       ///< one an evaluation of the network
  int steps = 0;                        ///< that the user asked for; some samplers evaluate more often
};

/// A size of 0 stands for the family's published one.
struct PlannedSize {
  int64_t height = 0, width = 0, frames = 0;   ///< pixels; frames of a clip
  int steps = 0;
};

/// `family`: opensora-1.2, latte-1 or opensora-plan-1.1. `dtype`: in which timesteps are held (Open-Sora). Throws Error on
/// others, and on sizes that cannot be.
PlannedVideo planned_video(const std::string& family, PlannedSize size, DType dtype);

}  // namespace pyracast
