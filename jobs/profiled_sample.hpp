#pragma once
#include "dataset/prompt.hpp"
#include "jobs/video_requests.hpp"
#include "jobs/profile_settings.hpp"
#include "pab/branch_changes.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// One sample whose branch outputs are to be compared.
struct SampleToProfile {
  Prompt row;
  uint32_t number;           ///< which of the row's samples
  VideoRequest request;
};

/// The samples of the manifest in its order, as many as the settings want. Throws Error on a bad line, and on samples of
/// other sizes or steps than the first: their evaluations cannot be averaged.
std::vector<SampleToProfile> samples_to_profile(const ProfileSettings& settings, const VideoRequests& requests);

/// What a sample's denoising has shown.
struct ProfiledSample {
  std::vector<double> timesteps;   ///< one an evaluation
  std::map<Site, std::vector<Change>> changes;
};

/// Denoises one sample, computing everything, and leaves it at that: nothing is decoded. Nothing where the job was asked to
/// stop. Throws Error on a prompt or model that gives no finite latents.
std::optional<ProfiledSample> profile_sample(const ProfileSettings& settings, const SampleToProfile& sample,
                                             VideoPipeline& pipeline);

}  // namespace pyracast
