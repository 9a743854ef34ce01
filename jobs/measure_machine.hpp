#pragma once
#include "comm/ranks.hpp"
#include "settings/plan_settings.hpp"

namespace pyracast {

/// `pyracast plan --measure FILE`: makes videos of up to three of the manifest's sizes by teams of every layout that fills the node, as
/// generate does, in a folder that goes (in `output`, where it is given: its file system takes part), and writes what they take. All ranks
/// call this; they must be those of one node. Throws Error on a video that fails.
ExitCode measure_machine(const Ranks& ranks, const JobPlanSettings& settings);

}  // namespace pyracast
