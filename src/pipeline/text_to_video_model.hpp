#pragma once
#include "pipeline/text_to_video.hpp"
#include "pipeline/video_model.hpp"

namespace pyracast {

/// A model on disk of a family that TextToVideo makes videos with.
class TextToVideoModel : public VideoModel {
 public:
  /// Throws Error on a sampler's configuration that cannot be.
  TextToVideoModel(SnapshotPaths files, VideoDefaults defaults, Json scheduler);

  std::unique_ptr<VideoPipeline> open(Backend& backend, std::optional<DType> dtype, const TeamChannels& team) const override;

 private:
  Json scheduler_;

  std::string scheduler_name() const { return files().scheduler.empty() ? "the published scheduler" : files().scheduler.string(); }
  std::optional<std::string> refusal_of_family(const VideoRequest& request) const override;

  /// Why videos of so many frames cannot be made; nothing where they can.
  virtual std::optional<std::string> frames_refusal(int64_t frames) const = 0;
  /// The networks, as the family's published pipeline uses them.
  virtual TextToVideoParts load(Backend& backend, std::optional<DType> dtype) const = 0;
  /// The width of the text's embeddings that the network takes.
  virtual int64_t caption_channels() const = 0;
};

/// The sampler's configuration: the snapshot's, else `published`; and the sampler that the user chose, with what describes the
/// model's training.
Json scheduler_of(const SnapshotPaths& files, const ModelChoice& choice, const Json& published);

/// One of Latte's two VAEs, by the class that its config.json names.
VideoDecoder load_latte_decoder(const std::filesystem::path& folder, Backend& backend, std::optional<DType> dtype);

}  // namespace pyracast
