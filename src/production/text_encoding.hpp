#pragma once
#include "dataset/manifest.hpp"
#include "dataset/time_left.hpp"
#include "production/fingerprint.hpp"
#include "production/finished_samples.hpp"
#include "production/video_requests.hpp"

namespace pyracast {

/// What a job's ranks need to encode the texts of the samples that are left.
struct TextJob {
  const Ranks& ranks;
  const GenerateSettings& settings;
  const VideoModel& model;
  Backend& backend;
  const VideoRequests& requests;
  const Manifest& manifest;
  const FinishedSamples& finished;   ///< filled on rank 0
  const Fingerprint& fingerprint;
  int64_t attempt = 0;               ///< which run of the folder this is
  TimeLeft time;
};

/// Encodes, with nothing but the text encoder there, what `text/` does not hold of the texts that are left to be made, each once, dealt out to all
/// ranks; then the encoder is dropped. Gives what videos read their embeddings from; nothing where the job was asked to stop, or its time is
/// up: what was encoded stays. What a killed job left behind is kept, and what is damaged is encoded again. All ranks call this.
std::shared_ptr<const StoredTexts> encode_texts(TextJob job);

}  // namespace pyracast
