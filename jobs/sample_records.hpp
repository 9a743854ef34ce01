#pragma once
#include "dataset/manifest.hpp"
#include "dataset/sample.hpp"
#include "jobs/job_settings.hpp"
#include "pipeline/video_pipeline.hpp"

namespace pyracast {

/// The seed of a sample: its row's own, else the run's.
uint64_t seed_of(const Prompt& row, const GenerateSettings& settings);

/// The noise of a sample, as the settings say (philox or torch).
std::unique_ptr<NoiseSource> noise_of(const Prompt& row, uint32_t sample, const GenerateSettings& settings, DType dtype);

/// The dataset's row of a sample as far as it is known before anything is made: id, number, prompt, seed, size, steps, settings.
SampleRecord record_asked_for(const Prompt& row, uint32_t sample, const VideoRequest& request, const GenerateSettings& settings,
                              const BroadcastPolicy& broadcast);

/// The dataset's row of a result; what the settings do not ask to save is left out. Where and when are the caller's.
SampleRecord record_of(const Prompt& row, uint32_t sample, const VideoRequest& request, const VideoResult& result,
                       const GenerateSettings& settings, const BroadcastPolicy& broadcast);

/// Throws Error unless `save` names nothing but frames, latents and embeddings.
void check_save(const std::vector<std::string>& save);
bool saves(const GenerateSettings& settings, const char* what);

}  // namespace pyracast
