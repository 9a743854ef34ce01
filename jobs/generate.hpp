#pragma once
#include "comm/ranks.hpp"
#include "jobs/job_settings.hpp"

namespace pyracast {

/// What `pyracast generate` does with its settings. All ranks call this; it may be called again with another output folder.
ExitCode generate_dataset(const Ranks& ranks, const GenerateSettings& settings);

}  // namespace pyracast
