#pragma once
#include "pipeline/text_to_video.hpp"
#include "pipeline/video_model.hpp"

namespace pyracast {

/// What tells the families apart that TextToVideo makes videos with.
struct TextToVideoFamily {
  VideoDefaults defaults;           ///< as published
  Json scheduler;                   ///< the published sampler, of snapshots that hold none
  int64_t caption_channels = 0;     ///< width of the text's embeddings that the network takes
  Padding padding = Padding::cut;   ///< what of the padding of texts the network is given
  int64_t most_tokens = 120;        ///< of a text
  /// Why videos of so many frames cannot be made; nothing where they can.
  std::function<std::optional<std::string>(int64_t frames)> frames_refusal;
  /// The networks, as the published pipeline uses them; scheduler, padding and most_tokens are not set.
  std::function<TextToVideoParts(const SnapshotPaths& files, Backend& backend, WeightStorage storage)> load;
};

/// The model of such a family. Its sampler is the snapshot's, else the published one, or the one that `choice` names with what
/// describes the model's training. Throws Error on a sampler's configuration that cannot be.
std::unique_ptr<VideoModel> text_to_video_model(SnapshotPaths files, const ModelChoice& choice, TextToVideoFamily family);

}  // namespace pyracast
