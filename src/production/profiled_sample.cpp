#include "production/profiled_sample.hpp"

namespace pyracast {

std::optional<ProfiledSample> profile_sample(const ProfileSettings& settings, const SampleToMeasure& sample,
                                             VideoPipeline& pipeline) {
  ProfiledSample profiled;
  BranchChanges changes;
  const std::vector<float> timesteps = pipeline.timesteps(sample.request);
  profiled.timesteps.assign(timesteps.begin(), timesteps.end());
  const BroadcastPolicy nothing_reused({{"stored", settings.outputs}}, "outputs");
  const auto see = [&](int, Site site, const Tensor& output) { changes.see(site, output); };
  const MeasuredRun run{.steps = sample.request.steps, .broadcast = nothing_reused, .listener = see};
  if (!denoise_sample(settings.generate, sample, run, pipeline)) return std::nullopt;
  profiled.changes = changes.of_sites();
  return profiled;
}

VideosToFit videos_to_profile(const VideoModel& model, const ModelSettings& settings, const std::vector<SampleToMeasure>& samples) {
  return {.model = model, .settings = settings, .requests = {samples.front().request}, .policies = {BroadcastPolicy()},
          .rank = rank_without_folder(settings, "auto", 1, false, false), .ways_out = {.larger_teams = false, .text_encoding = "offload"}};
}

}  // namespace pyracast
