// Latte-1 as published (maxin-cn/Latte-1; diffusers' and VideoSys' LattePipeline).
#include "pipeline/families.hpp"
#include "pipeline/text_to_video_model.hpp"

namespace pyracast {

namespace {

/// One of the two VAEs, by the class that its config.json names.
VideoDecoder load_decoder(const std::filesystem::path& folder, Backend& backend, WeightStorage storage) {
  const std::string where = (folder / "config.json").string();
  const Json config = read_json(where);
  const double scaling_factor = value_or(config, "scaling_factor", 0.18215, where);
  if (value<std::string>(config, "_class_name", where) == "AutoencoderKLTemporalDecoder")
    return {load_network<AutoencoderKlTemporalDecoder, AutoencoderKlConfig>(folder, backend, storage), scaling_factor};
  const Weights weights(backend, read_weights(folder), storage, folder.string());
  VideoDecoder decoder{AutoencoderKl(weights, AutoencoderKlConfig::from_json(config, where), AutoencoderParts::decoder), scaling_factor};
  weights.finish();
  return decoder;
}

TextToVideoParts load(const SnapshotPaths& files, Backend& backend, WeightStorage storage) {
  return {load_network<Latte, LatteConfig>(files.transformer, backend, storage), load_decoder(files.vae, backend, storage)};
}

}  // namespace

std::unique_ptr<VideoModel> find_latte(const ModelChoice& choice) {
  // VideoSys decodes with the temporal decoder where the snapshot has it.
  const SnapshotLayout layout{.vae = {"vae_temporal_decoder", "vae"}, .scheduler = true};
  SnapshotPaths files = choice.on_disk ? find_snapshot(choice.snapshot, choice.given, layout) : SnapshotPaths();
  const auto config = transformer_config<LatteConfig>(files, choice, {});
  const int64_t side = 8 * config.sample_size;
  TextToVideoFamily family;
  family.defaults = {side, side, config.video_length, 8, 50, 7.5};
  family.scheduler = {{"_class_name", "DDIMScheduler"}, {"clip_sample", false}};
  family.caption_channels = config.caption_channels;
  family.frames_refusal = [length = config.video_length](int64_t frames) -> std::optional<std::string> {
    if (frames == length || frames == 1) return std::nullopt;
    return concat(frames, " frames: this model makes ", length, ", or 1");
  };
  family.load = load;
  return text_to_video_model(std::move(files), choice, std::move(family));
}

}  // namespace pyracast
