#pragma once
#include "dataset/manifest.hpp"
#include "dataset/sample.hpp"
#include "pipeline/video_pipeline.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

/// The seed of a sample: its row's own, else the run's.
uint64_t seed_of(const Prompt& row, const GenerateSettings& settings);

/// The noise of a sample that is made in so many steps, as the settings say (philox or torch).
std::unique_ptr<NoiseSource> noise_of(const Prompt& row, uint32_t sample, int steps, const GenerateSettings& settings);

/// The folder that the reference_path of a manifest's rows starts from; empty: the current one, as of standard input and pipes.
std::filesystem::path folder_of_references(const GenerateSettings& settings);

/// What reads the references of the settings' manifest (VideoRun::read_reference).
ReferenceReader reader_of_references(const GenerateSettings& settings);

/// The dataset's row of a sample as far as it is known before anything is made: id, number, prompt, seed, size, steps, settings.
SampleRecord record_asked_for(const Prompt& row, uint32_t sample, const VideoRequest& request, const GenerateSettings& settings,
                              const BroadcastPolicy& broadcast);

/// The dataset's row of a result; what the settings do not ask to save is left out. Where and when are the caller's.
SampleRecord record_of(const Prompt& row, uint32_t sample, const VideoRequest& request, const VideoResult& result,
                       const GenerateSettings& settings, const BroadcastPolicy& broadcast);

/// The settings of a row of the dataset but for what only its making told: as the text of record_asked_for() has them.
std::string settings_asked_for(Json made);

/// Throws Error unless `save` names nothing but frames, latents and embeddings.
void check_save(const std::vector<std::string>& save);
bool saves(const GenerateSettings& settings, const char* what);

}  // namespace pyracast
