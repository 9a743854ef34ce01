// Open-Sora-Plan v1.1 and v1.2 as published (LanguageBind/Open-Sora-Plan-v1.1.0 and -v1.2.0; VideoSys' OpenSoraPlanPipeline).
#include "pipeline/families.hpp"
#include "pipeline/text_to_video_model.hpp"

namespace pyracast {

namespace {

/// With the tiles that the published pipeline sets for both versions.
VideoDecoder load_causal_decoder(const std::filesystem::path& folder, Backend& backend, std::optional<DType> dtype) {
  VideoDecoder decoder;
  decoder.vae = load_network<CausalVae, CausalVaeConfig>(folder, backend, dtype);
  decoder.tiling = CausalVaeTiling{512, 64, 29, 8, 0.25};
  return decoder;
}

class OpenSoraPlan110 final : public TextToVideoModel {
 public:
  OpenSoraPlan110(SnapshotPaths files, VideoDefaults defaults, Json scheduler, const LatteConfig& config)
      : TextToVideoModel(std::move(files), std::move(defaults), std::move(scheduler)), config_(config) {}

 private:
  LatteConfig config_;

  std::optional<std::string> frames_refusal(int64_t frames) const override {
    const int64_t whole = causal_frames(config_.video_length);
    if (frames == 1 || (frames % 2 == 1 && causal_latents(frames) == config_.video_length)) return std::nullopt;
    return concat(frames, " frames: this model makes ", whole, ", or ", whole - 2, ", or 1");
  }
  TextToVideoParts load(Backend& backend, std::optional<DType> dtype) const override {
    TextToVideoParts parts{load_network<Latte, LatteConfig>(files().transformer, backend, dtype), load_causal_decoder(files().vae, backend, dtype)};
    parts.most_tokens = 300;
    return parts;
  }
  int64_t caption_channels() const override { return config_.caption_channels; }
};

class OpenSoraPlan120 final : public TextToVideoModel {
 public:
  OpenSoraPlan120(SnapshotPaths files, VideoDefaults defaults, Json scheduler, const OpenSoraT2vConfig& config)
      : TextToVideoModel(std::move(files), std::move(defaults), std::move(scheduler)), config_(config) {}

 private:
  OpenSoraT2vConfig config_;

  std::optional<std::string> frames_refusal(int64_t frames) const override {
    if (frames % 2 == 0) return concat(frames, " frames: an odd number is needed, say ", frames + 1);
    if (!config_.sizes.use_rope && causal_latents(frames) != config_.sample_frames)
      return concat(frames, " frames: this model's positions are those of ", causal_frames(config_.sample_frames));
    return std::nullopt;
  }
  TextToVideoParts load(Backend& backend, std::optional<DType> dtype) const override {
    TextToVideoParts parts{load_network<OpenSoraT2v, OpenSoraT2vConfig>(files().transformer, backend, dtype),
                           load_causal_decoder(files().vae, backend, dtype)};
    parts.padding = Padding::masked;
    parts.most_tokens = 512;
    parts.stored = StoredOutput::ungated;
    return parts;
  }
  int64_t caption_channels() const override { return config_.sizes.caption_channels; }
};

/// The variants lie in folders named after their sizes.
SnapshotPaths found(const ModelChoice& choice, const char* transformer_class) {
  SnapshotLayout layout;
  layout.transformer_class = transformer_class;
  layout.scheduler = true;
  return find_snapshot(choice.snapshot, choice.given, layout);
}

template <class Config>
Config config_of(const SnapshotPaths& files) {
  const auto file = files.transformer / "config.json";
  return Config::from_json(read_json(file), file.string());
}

}  // namespace

std::unique_ptr<VideoModel> find_open_sora_plan_110(const ModelChoice& choice) {
  SnapshotPaths files = found(choice, "LatteT2V");
  const auto config = config_of<LatteConfig>(files);
  const int64_t side = 8 * config.sample_size;
  const VideoDefaults defaults = VideoDefaults::from_index(files.index, files.index_file.string(),
                                                           {side, side, causal_frames(config.video_length), 24, 150, 7.5});
  Json scheduler = scheduler_of(files, choice, {{"_class_name", "PNDMScheduler"}});
  return std::make_unique<OpenSoraPlan110>(std::move(files), defaults, std::move(scheduler), config);
}

std::unique_ptr<VideoModel> find_open_sora_plan_120(const ModelChoice& choice) {
  SnapshotPaths files = found(choice, "OpenSoraT2V");
  const auto config = config_of<OpenSoraT2vConfig>(files);
  const VideoDefaults defaults = VideoDefaults::from_index(files.index, files.index_file.string(),
                                                           {8 * config.sample_height, 8 * config.sample_width, causal_frames(config.sample_frames), 24, 100, 7.5});
  Json scheduler = scheduler_of(files, choice, {{"_class_name", "EulerAncestralDiscreteScheduler"}});
  return std::make_unique<OpenSoraPlan120>(std::move(files), defaults, std::move(scheduler), config);
}

}  // namespace pyracast
