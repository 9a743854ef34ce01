#pragma once
#include "pipeline/text_to_video.hpp"
#include "pipeline/video_model.hpp"

namespace pyracast {

/// What tells the families apart that TextToVideo makes videos with.
struct TextToVideoFamily {
  VideoDefaults defaults;           ///< as published
  Json scheduler;                   ///< the published sampler, of snapshots that hold none
  int64_t caption_channels = 0;     ///< width of the text's embeddings that the network takes
  /// Why videos of so many frames cannot be made; nothing where they can.
  std::function<std::optional<std::string>(int64_t frames)> frames_refusal;
  /// The networks, as the published pipeline uses them; the scheduler is not set.
  std::function<TextToVideoParts(const SnapshotPaths& files, Backend& backend, WeightStorage storage)> load;
};

/// The model of such a family. Its sampler is the snapshot's, else the published one, or the one that `choice` names with what
/// describes the model's training. Throws Error on a sampler's configuration that cannot be.
std::unique_ptr<VideoModel> text_to_video_model(SnapshotPaths files, const ModelChoice& choice, TextToVideoFamily family);

/// The transformer's config.json; `published` of a model that is not on disk.
template <class Config>
Config transformer_config(const SnapshotPaths& files, const ModelChoice& choice, const Config& published) {
  if (!choice.on_disk) return published;
  const auto file = files.transformer / "config.json";
  return Config::from_json(read_json(file), file.string());
}

}  // namespace pyracast
