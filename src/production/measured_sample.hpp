#pragma once
#include "comm/ranks.hpp"
#include "dataset/prompt.hpp"
#include "pipeline/video_pipeline.hpp"
#include "production/video_requests.hpp"

namespace pyracast {

/// One sample whose denoising is to be measured.
struct SampleToMeasure {
  Prompt row;
  uint32_t number;           ///< which of the row's samples
  VideoRequest request;
};

/// What can be wrong with such settings before a model is looked for. `to_do`: "profile", as messages say what prompts are for. Throws Error.
void check_settings_of_samples(const SettingsOfSamples& settings, const char* to_do);

/// The samples of the settings' manifest in its order, at most `limit` (0: all). Throws Error on a bad line, on samples of other
/// sizes or steps than the first (their evaluations cannot be averaged), and on fewer steps than a beginning, a middle and an
/// end take.
std::vector<SampleToMeasure> samples_of(const GenerateSettings& settings, int64_t limit, const VideoRequests& requests);

/// How a sample is denoised to be measured, and who listens (VideoRun).
struct MeasuredRun {
  int steps = 0;
  BroadcastPolicy broadcast = {};
  OutputPlace stored_outputs = OutputPlace::device;
  BranchListener listener = {};
  std::function<void(const Tensor& difference)> guidance_listener = {};
  Observer observe = {};
  Communicator* team = nullptr;   ///< of a pipeline on several ranks, which stop together
};

/// The latents of one sample, and what each evaluation cost; nothing is decoded. Nothing where the job was asked to stop. Throws Error on a prompt
/// or model that gives no finite latents.
std::optional<VideoResult> denoise_sample(const GenerateSettings& settings, const SampleToMeasure& sample, MeasuredRun how, VideoPipeline& pipeline);

/// Whether any rank says so. All call it.
bool any_rank(const Ranks& ranks, bool own);

}  // namespace pyracast
