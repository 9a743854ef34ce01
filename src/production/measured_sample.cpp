#include "production/measured_sample.hpp"

#include "base/counted.hpp"
#include "dataset/layout.hpp"
#include "dataset/manifest_reader.hpp"
#include "dataset/manifest_text.hpp"
#include "production/sample_records.hpp"
#include "report/branch_profile.hpp"
#include "runtime/device.hpp"
#include "runtime/signals.hpp"
#include "runtime/team_answer.hpp"

namespace pyracast {

namespace {

std::string shape_text(const VideoRequest& request) {
  return concat(request.height, " x ", request.width, " pixels, ", counted(request.frames, "frame"), ", ", counted(request.steps, "step"));
}

}  // namespace

void check_settings_of_samples(const SettingsOfSamples& settings, const char* to_do) {
  const GenerateSettings& s = settings.generate;
  require(settings.samples >= 0, "samples is ", settings.samples, ", expected 0 (all) or more");
  require(s.noise == "philox" || s.noise == "torch", "noise is \"", s.noise, "\", expected philox or torch");
  weight_storage(s.model);
  stored_outputs(s.model);
  require(!s.prompts.empty(), "which prompts to ", to_do, " is not known: give --prompts FILE");
  require(!is_stream(s.prompts.string()), "prompts is ", s.prompts, ", expected a file: every rank reads the manifest");
  require(!s.output.empty(), "where to write is not known: give --output DIR");
  check_folder(s.output);
}

std::vector<SampleToMeasure> samples_of(const GenerateSettings& settings, int64_t limit, const VideoRequests& requests) {
  const std::string name = settings.prompts.string();
  std::vector<SampleToMeasure> samples;
  const auto enough = [&] { return limit > 0 && int64_t(samples.size()) == limit; };
  ManifestReader reader(open_bytes(name), name);
  while (const auto read = enough() ? std::nullopt : reader.next()) {
    require(read->prompt.has_value(), name, ": line ", read->line, ": ", read->reason);
    if (const auto refusal = requests.refusal(*read->prompt)) fail(name, ": line ", read->line, ": ", *refusal);
    const VideoRequest request = requests(*read->prompt);
    const std::string shape = shape_text(request), first = shape_text(samples.empty() ? request : samples.front().request);
    require(shape == first, name, ": line ", read->line, " asks for ", shape, ", the samples before for ", first,
            ": evaluations of different videos cannot be averaged; measure them one by one");
    for (int i = 0; i < read->prompt->samples && !enough(); ++i)
      samples.push_back({*read->prompt, uint32_t(i), request});
  }
  require(!samples.empty(), name, ": holds no prompt");
  const int steps = samples.front().request.steps, fewest = int(BranchProfile::fewest_evaluations);
  require(steps >= fewest, "steps is ", steps, ", expected at least ", fewest, ": a curve needs a start, a middle and an end");
  return samples;
}

std::optional<VideoResult> denoise_sample(const GenerateSettings& settings, const SampleToMeasure& sample, MeasuredRun how, VideoPipeline& pipeline) {
  const auto noise = noise_of(sample.row, sample.number, how.steps, settings);
  VideoRequest request = sample.request;
  request.steps = how.steps;
  VideoRun run{*noise};
  run.read_reference = reader_of_references(settings);
  run.broadcast = std::move(how.broadcast);
  run.stored_outputs = how.stored_outputs;
  run.listener = std::move(how.listener);
  run.guidance_listener = std::move(how.guidance_listener);
  run.observe = std::move(how.observe);
  run.decodes = false;
  run.agree = [team = how.team](Outcome own) {
    if (own == Outcome::going_on && asked_to_stop()) own = Outcome::stopped;
    return team ? agreed(*team, own) : own;
  };
  VideoResult result = pipeline.generate(request, run);
  require(result.outcome != Outcome::failed, sample.row.id, " sample ", sample.number, ": ", result.reason);
  if (result.outcome == Outcome::stopped) return std::nullopt;
  return result;
}

bool any_rank(const Ranks& ranks, bool own) {
  int any = own;
  MPI_Request request;
  check_mpi(MPI_Iallreduce(MPI_IN_PLACE, &any, 1, MPI_INT, MPI_MAX, ranks.world(), &request), "agreeing on the end");
  await(request, "agreeing on the end");
  return any;
}

}  // namespace pyracast
