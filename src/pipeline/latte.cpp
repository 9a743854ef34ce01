// Latte-1 as published (maxin-cn/Latte-1; diffusers' and VideoSys' LattePipeline).
#include "pipeline/families.hpp"
#include "pipeline/text_to_video_model.hpp"

namespace pyracast {

namespace {

class LatteModel final : public TextToVideoModel {
 public:
  LatteModel(SnapshotPaths files, VideoDefaults defaults, Json scheduler, const LatteConfig& config)
      : TextToVideoModel(std::move(files), std::move(defaults), std::move(scheduler)), config_(config) {}

 private:
  LatteConfig config_;

  std::optional<std::string> frames_refusal(int64_t frames) const override {
    if (frames == config_.video_length || frames == 1) return std::nullopt;
    return concat(frames, " frames: this model makes ", config_.video_length, ", or 1");
  }
  TextToVideoParts load(Backend& backend, std::optional<DType> dtype) const override {
    return {load_network<Latte, LatteConfig>(files().transformer, backend, dtype), load_latte_decoder(files().vae, backend, dtype)};
  }
  int64_t caption_channels() const override { return config_.caption_channels; }
};

}  // namespace

std::unique_ptr<VideoModel> find_latte(const ModelChoice& choice) {
  // VideoSys decodes with the temporal decoder where the snapshot has it.
  SnapshotPaths files = find_snapshot(choice.snapshot, choice.given, {.vae = {"vae_temporal_decoder", "vae"}, .scheduler = true});
  const LatteConfig config = LatteConfig::from_json(read_json(files.transformer / "config.json"), (files.transformer / "config.json").string());
  const int64_t side = 8 * config.sample_size;
  const VideoDefaults defaults = VideoDefaults::from_index(files.index, files.index_file.string(), {side, side, config.video_length, 8, 50, 7.5});
  Json scheduler = scheduler_of(files, choice, {{"_class_name", "DDIMScheduler"}, {"clip_sample", false}});
  return std::make_unique<LatteModel>(std::move(files), defaults, std::move(scheduler), config);
}

}  // namespace pyracast
