#pragma once
#include <optional>

#include "comm/team.hpp"
#include "kernels/backend.hpp"
#include "pipeline/video_model.hpp"
#include "settings/job_settings.hpp"
#include "settings/open_backend.hpp"

namespace pyracast {

/// The device of the settings; of several GPUs the one with this index. Throws Error on a name that does not exist or a
/// device that is not there.
std::unique_ptr<Backend> open_device(const ModelSettings& settings, int gpu = 0);
/// This rank's GPU: those that ranks of a node see alike are dealt out to them in their order (a launcher may show each rank its own only).
struct RankGpu {
  int index = 0;
  int ranks = 1;   ///< that compute on it
};
/// More ranks than GPUs are an error, unless they may `share` them. All ranks call this.
RankGpu gpu_of(const Ranks& ranks, bool share);
/// The device of the settings for this rank: of GPUs gpu_of(). All ranks call this.
std::unique_ptr<Backend> open_device(const ModelSettings& settings, const Ranks& ranks, bool share = false);

/// How tensors travel within a team of so many ranks, by the settings `comm` and `device`. Throws Error on a `comm` that does not exist or
/// does not fit the device.
Transport transport_of(const std::string& comm, const std::string& device, int ranks_per_video);

/// OpenMP's threads, and those of a rank's cores that they leave idle.
struct RankThreads {
  int threads = 1, idle_cores = 0;
};
/// Gives OpenMP as many threads as the settings say; 0: the cores of this rank, which are those it is bound to, divided by the ranks of the
/// node that are bound to the same ones. All ranks call this.
RankThreads set_threads(int threads, const Ranks& ranks);

/// resolved_dtype() of these settings.
std::string resolved_dtype(const ModelSettings& settings);

/// weight_storage() of these settings; `shared`: where weights are kept.
WeightStorage weight_storage(const ModelSettings& settings, SharedWeights* shared = nullptr);

/// The device of the settings as memory is planned for it.
PlannedDevice planned_device(const ModelSettings& settings);
/// The settings' `text-encoding`. Throws Error on one that does not exist.
TextEncoding text_encoding(const ModelSettings& settings);
/// That of a job which has no folder to store texts in: offload in place of once.
TextEncoding text_encoding_without_folder(const ModelSettings& settings);
/// The settings' `stored-outputs`; nothing: auto. Throws Error on one that does not exist or does not fit the device.
std::optional<OutputPlace> stored_outputs(const ModelSettings& settings);
/// Whether `generate` encodes the model's texts before it makes videos.
bool encodes_beforehand(const ModelSettings& settings, const VideoModel& model);

/// The parts whose places the settings name.
SnapshotPaths find_given(const ModelSettings& settings);
/// The model that the settings name; as published where they name no place of it. It is not for opening.
std::unique_ptr<VideoModel> find_model_to_ask(const ModelSettings& settings);
/// The model that the settings name.
std::unique_ptr<VideoModel> find_model(const ModelSettings& settings);

}  // namespace pyracast
