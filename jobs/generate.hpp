#pragma once
#include "comm/ranks.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

/// Throws Error on a value that `generate` cannot take, of those that can be told without a file or the device: for it and for the jobs that say
/// beforehand what it will do.
void check_values(const GenerateSettings& settings);

/// What `pyracast generate` does with its settings. All ranks call this; it may be called again with another output folder.
ExitCode generate_dataset(const Ranks& ranks, const GenerateSettings& settings);

}  // namespace pyracast
