#pragma once
#include <optional>

#include "comm/ranks.hpp"
#include "jobs/job_settings.hpp"
#include "kernels/backend.hpp"
#include "pipeline/video_model.hpp"

namespace pyracast {

/// The device of the settings. Throws Error on a name that does not exist or a device that is not there.
std::unique_ptr<Backend> open_device(const ModelSettings& settings);

/// Gives OpenMP as many threads as the settings say; 0: the cores this rank is bound to, divided by the ranks of the
/// node that are bound to the same ones.
int set_threads(int threads, const Ranks& ranks);

/// How weights are kept: float32, bfloat16, or as stored (auto).
std::optional<DType> weight_dtype(const std::string& name);

/// The model that the settings name.
std::unique_ptr<VideoModel> find_model(const ModelSettings& settings);

}  // namespace pyracast
