#include "jobs/profiled_sample.hpp"

namespace pyracast {

std::optional<ProfiledSample> profile_sample(const ProfileSettings& settings, const SampleToMeasure& sample,
                                             VideoPipeline& pipeline) {
  ProfiledSample profiled;
  BranchChanges changes;
  const std::vector<float> timesteps = pipeline.timesteps(sample.request);
  profiled.timesteps.assign(timesteps.begin(), timesteps.end());
  const BroadcastPolicy nothing_reused({{"stored", settings.outputs}}, "outputs");
  const auto see = [&](int, Site site, const Tensor& output) { changes.see(site, output); };
  if (!denoise_sample(settings.generate, sample, sample.request.steps, nothing_reused, see, pipeline)) return std::nullopt;
  profiled.changes = changes.of_sites();
  return profiled;
}

}  // namespace pyracast
