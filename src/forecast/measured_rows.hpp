#pragma once
// What the rows of a dataset say of the seconds of each phase, held against the counted work.
#include <filesystem>

#include "dataset/sample.hpp"
#include "plan/job_plan.hpp"

namespace pyracast {

/// A finished sample: the seconds of each phase (index: MakingPhase) on its team's first rank.
struct MeasuredVideo {
  VideoShape shape;
  std::array<double, making_phases.size()> seconds{};
  double of_team = 0;   ///< from its beginning until its team could begin the next: without what went on beside that
};

/// What the videos of a run of each shape took of a team, and what of them went on beside the next.
using DemandsOfShapes = std::map<VideoShape, TeamDemand>;

/// Of all rows of one run; `shape_of` tells what each was asked to be. Throws Error on a failed sample.
std::vector<MeasuredVideo> measured_videos(std::vector<SampleRecord> rows, const std::function<VideoShape(const SampleRecord&)>& shape_of,
                                           const DemandsOfShapes& demands);

/// The costs that fit best, how far single videos lie from them, and how far each size's mean does. Nothing of start_up.
LayoutCosts fit_layout(const std::vector<MeasuredVideo>& videos, const DemandsOfShapes& demands);

}  // namespace pyracast
