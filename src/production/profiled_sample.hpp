#pragma once
#include "pab/branch_changes.hpp"
#include "production/measured_sample.hpp"
#include "production/memory_check.hpp"
#include "settings/profile_settings.hpp"

namespace pyracast {

/// What a sample's denoising has shown.
struct ProfiledSample {
  std::vector<double> timesteps;   ///< one an evaluation
  std::map<Site, std::vector<Change>> changes;
};

/// Denoises one sample, computing everything. Nothing where the job was asked to stop. Throws Error on a prompt or model that
/// gives no finite latents.
std::optional<ProfiledSample> profile_sample(const ProfileSettings& settings, const SampleToMeasure& sample,
                                             VideoPipeline& pipeline);

/// These samples, one after the other by each rank alone, for its memory. All must outlive what is returned.
VideosToFit videos_to_profile(const VideoModel& model, const ModelSettings& settings, const std::vector<SampleToMeasure>& samples);

}  // namespace pyracast
