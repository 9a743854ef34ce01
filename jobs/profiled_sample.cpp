#include "jobs/profiled_sample.hpp"

#include "dataset/manifest_reader.hpp"
#include "jobs/device.hpp"
#include "jobs/sample_records.hpp"
#include "jobs/signals.hpp"
#include "report/branch_profile.hpp"

namespace pyracast {

namespace {

std::string shape_of(const VideoRequest& request) {
  return concat(request.height, " x ", request.width, " pixels, ", request.frames, " frames, ", request.steps, " steps");
}

}  // namespace

std::vector<SampleToProfile> samples_to_profile(const ProfileSettings& settings, const VideoRequests& requests) {
  const std::string name = settings.generate.prompts.string();
  std::vector<SampleToProfile> samples;
  const auto enough = [&] { return settings.samples > 0 && int64_t(samples.size()) == settings.samples; };
  ManifestReader reader(open_bytes(name), name);
  while (const auto read = enough() ? std::nullopt : reader.next()) {
    require(read->prompt.has_value(), name, ": line ", read->line, ": ", read->reason);
    if (const auto refusal = requests.refusal(*read->prompt)) fail(name, ": line ", read->line, ": ", *refusal);
    const VideoRequest request = requests(*read->prompt);
    const std::string shape = shape_of(request), first = shape_of(samples.empty() ? request : samples.front().request);
    require(shape == first, name, ": line ", read->line, " asks for ", shape, ", the samples before for ", first,
            ": evaluations of different videos cannot be averaged; profile them one by one");
    for (int i = 0; i < read->prompt->samples && !enough(); ++i)
      samples.push_back({*read->prompt, uint32_t(i), request});
  }
  require(!samples.empty(), name, ": holds no prompt");
  const int steps = samples.front().request.steps, fewest = int(BranchProfile::fewest_evaluations);
  require(steps >= fewest, "steps is ", steps, ", expected at least ", fewest, ": a curve needs a start, a middle and an end");
  return samples;
}

std::optional<ProfiledSample> profile_sample(const ProfileSettings& settings, const SampleToProfile& sample,
                                             VideoPipeline& pipeline) {
  const DType dtype = weight_dtype(settings.generate.model.dtype).value_or(DType::float32);
  const auto noise = noise_of(sample.row, sample.number, settings.generate, dtype);
  ProfiledSample profiled;
  BranchChanges changes;
  int evaluations = 0;
  VideoRun run{*noise};
  run.broadcast = BroadcastPolicy({{"stored", settings.outputs}}, "outputs");   // nothing is reused
  run.listener = [&](int evaluation, Site site, const Tensor& output) {
    changes.see(site, output);
    evaluations = evaluation + 1;
  };
  const std::vector<float> timesteps = pipeline.timesteps(sample.request);
  profiled.timesteps.assign(timesteps.begin(), timesteps.end());
  run.agree = [&](Outcome own) {
    const bool seen_all = evaluations == int(timesteps.size());
    return own == Outcome::going_on && (seen_all || asked_to_stop()) ? Outcome::stopped : own;
  };
  const VideoResult result = pipeline.generate(sample.request, run);
  require(result.outcome != Outcome::failed, sample.row.id, " sample ", sample.number, ": ", result.reason);
  if (evaluations < int(timesteps.size())) return std::nullopt;
  profiled.changes = changes.of_sites();
  return profiled;
}

}  // namespace pyracast
