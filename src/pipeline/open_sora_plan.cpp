// Open-Sora-Plan v1.1 and v1.2 as published (LanguageBind/Open-Sora-Plan-v1.1.0 and -v1.2.0; VideoSys' OpenSoraPlanPipeline).
#include "pipeline/families.hpp"
#include "pipeline/text_to_video_model.hpp"

namespace pyracast {

namespace {

/// With the tiles that the published pipeline sets for both versions.
VideoDecoder load_causal_decoder(const std::filesystem::path& folder, Backend& backend, WeightStorage storage) {
  VideoDecoder decoder;
  decoder.vae = load_network<CausalVae, CausalVaeConfig>(folder, backend, storage);
  decoder.tiling = CausalVaeTiling{512, 64, 29, 8, 0.25};
  return decoder;
}

TextToVideoParts load_110(const SnapshotPaths& files, Backend& backend, WeightStorage storage) {
  return {load_network<Latte, LatteConfig>(files.transformer, backend, storage), load_causal_decoder(files.vae, backend, storage)};
}

TextToVideoParts load_120(const SnapshotPaths& files, Backend& backend, WeightStorage storage) {
  TextToVideoParts parts{load_network<OpenSoraT2v, OpenSoraT2vConfig>(files.transformer, backend, storage),
                         load_causal_decoder(files.vae, backend, storage)};
  parts.stored = StoredOutput::ungated;
  return parts;
}

/// The variants lie in folders named after their sizes.
SnapshotPaths found(const ModelChoice& choice, const char* transformer_class) {
  SnapshotLayout layout;
  layout.transformer_class = transformer_class;
  layout.scheduler = true;
  return choice.on_disk ? find_snapshot(choice.snapshot, choice.given, layout) : SnapshotPaths();
}

}  // namespace

std::unique_ptr<VideoModel> find_open_sora_plan_110(const ModelChoice& choice) {
  SnapshotPaths files = found(choice, "LatteT2V");
  const auto config = transformer_config<LatteConfig>(files, choice, {.video_length = 17});
  const int64_t side = 8 * config.sample_size;
  TextToVideoFamily family;
  family.defaults = {side, side, causal_frames(config.video_length), 24, 150, 7.5};
  family.scheduler = {{"_class_name", "PNDMScheduler"}};
  family.caption_channels = config.caption_channels;
  family.frames_refusal = [length = config.video_length](int64_t frames) -> std::optional<std::string> {
    const int64_t whole = causal_frames(length);
    if (frames == 1 || (frames % 2 == 1 && causal_latents(frames) == length)) return std::nullopt;
    return concat(frames, " frames: this model makes ", whole, ", or ", whole - 2, ", or 1");
  };
  family.most_tokens = 300;
  family.load = load_110;
  return text_to_video_model(std::move(files), choice, std::move(family));
}

std::unique_ptr<VideoModel> find_open_sora_plan_120(const ModelChoice& choice) {
  SnapshotPaths files = found(choice, "OpenSoraT2V");
  const auto config = transformer_config<OpenSoraT2vConfig>(files, choice, {.sizes = {.use_rope = true}});
  TextToVideoFamily family;
  family.defaults = {8 * config.sample_height, 8 * config.sample_width, causal_frames(config.sample_frames), 24, 100, 7.5};
  family.scheduler = {{"_class_name", "EulerAncestralDiscreteScheduler"}};
  family.caption_channels = config.sizes.caption_channels;
  family.frames_refusal = [fixed = !config.sizes.use_rope, latents = config.sample_frames](int64_t frames) -> std::optional<std::string> {
    if (frames % 2 == 0) return concat(frames, " frames: an odd number is needed, say ", frames + 1);
    if (fixed && causal_latents(frames) != latents) return concat(frames, " frames: this model's positions are those of ", causal_frames(latents));
    return std::nullopt;
  };
  family.padding = Padding::masked;
  family.most_tokens = 512;
  family.load = load_120;
  return text_to_video_model(std::move(files), choice, std::move(family));
}

}  // namespace pyracast
