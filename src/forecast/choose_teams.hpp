#pragma once
#include "comm/ranks.hpp"
#include "plan/machine.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

/// Sets `ranks_per_video` (auto) and `cfg_parallel` to the teams that make the manifest soonest, by the plan of `pyracast plan`; told on
/// rank 0. cfg-parallel that is asked for is kept. Throws Error on all ranks where `machine` is not given, cannot be read, or was measured
/// with another number of ranks a node or another model, and where no team can make the manifest.
void choose_teams(const Ranks& ranks, GenerateSettings& settings);

/// The machine files of the settings, held against them: one machine with several numbers of ranks a node. Throws Error where none is
/// named, one cannot be read or was measured with another model or dtype, or two are of as many ranks.
std::vector<Machine> machines_of(const GenerateSettings& settings);

}  // namespace pyracast
