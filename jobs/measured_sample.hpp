#pragma once
#include "dataset/prompt.hpp"
#include "comm/ranks.hpp"
#include "jobs/video_requests.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// One sample whose denoising is to be measured.
struct SampleToMeasure {
  Prompt row;
  uint32_t number;           ///< which of the row's samples
  VideoRequest request;
};

/// The samples of the settings' manifest in its order, at most `limit` (0: all). Throws Error on a bad line, on samples of other
/// sizes or steps than the first (their evaluations cannot be averaged), and on fewer steps than a beginning, a middle and an
/// end take.
std::vector<SampleToMeasure> samples_of(const GenerateSettings& settings, int64_t limit, const VideoRequests& requests);

/// The latents of one sample in as many steps, and what each evaluation cost; nothing is decoded. Nothing where the job was
/// asked to stop. Throws Error on a prompt or model that gives no finite latents. `team`: of a pipeline on several ranks, which stop together.
std::optional<VideoResult> denoise_sample(const GenerateSettings& settings, const SampleToMeasure& sample, int steps,
                                          const BroadcastPolicy& broadcast, BranchListener listener, VideoPipeline& pipeline,
                                          std::function<void(const Tensor& difference)> guidance_listener = {}, Observer observe = {},
                                          Communicator* team = nullptr);

/// Whether any rank says so. All call it.
bool any_rank(const Ranks& ranks, bool own);

}  // namespace pyracast
