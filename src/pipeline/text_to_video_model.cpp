#include "pipeline/text_to_video_model.hpp"

namespace pyracast {

namespace {

constexpr int64_t pixels_a_token = 16;   // the VAE's 8 times the patches' 2

}  // namespace

TextToVideoModel::TextToVideoModel(SnapshotPaths files, VideoDefaults defaults, Json scheduler)
    : VideoModel(std::move(files), std::move(defaults)), scheduler_(std::move(scheduler)) {
  make_sampler(scheduler_, scheduler_name(), this->defaults().steps);
}

std::unique_ptr<VideoPipeline> TextToVideoModel::open(Backend& backend, std::optional<DType> dtype, const TeamChannels& team) const {
  const SnapshotPaths& from = files();
  TeamTextEncoder text = open_text_encoder(from.text_encoder, from.tokenizer, caption_channels(), from.transformer, backend, dtype,
                                           team.whole->rank() == 0);
  TextToVideoParts parts = load(backend, dtype);
  parts.scheduler = scheduler_;
  parts.scheduler_file = scheduler_name();
  return std::make_unique<TextToVideo>(std::move(parts), std::move(text), backend, team);
}

std::optional<std::string> TextToVideoModel::refusal_of_family(const VideoRequest& request) const {
  if (request.height < pixels_a_token || request.width < pixels_a_token || request.height % pixels_a_token || request.width % pixels_a_token)
    return concat("a video of ", request.height, " x ", request.width, " pixels: both must be multiples of ", pixels_a_token);
  if (request.clips > 1) return concat(request.clips, " clips: only Open-Sora v1.2 continues a clip by another");
  if (request.hints.aesthetic || request.hints.motion || request.hints.camera)
    return "an aesthetic score, motion score or camera motion: only Open-Sora v1.2 was trained to be told them; leave them out";
  try {
    make_sampler(scheduler_, scheduler_name(), request.steps, {.eta = request.eta});
  } catch (const Error& error) {
    return error.what();
  }
  return frames_refusal(request.frames);
}

Json scheduler_of(const SnapshotPaths& files, const ModelChoice& choice, const Json& published) {
  const Json scheduler = files.scheduler.empty() ? published : read_json(files.scheduler);
  return choice.sampler.empty() ? scheduler : with_sampler(scheduler, choice.sampler);
}

VideoDecoder load_latte_decoder(const std::filesystem::path& folder, Backend& backend, std::optional<DType> dtype) {
  const std::string where = (folder / "config.json").string();
  const Json config = read_json(where);
  const double scaling_factor = value_or(config, "scaling_factor", 0.18215, where);
  if (value<std::string>(config, "_class_name", where) == "AutoencoderKLTemporalDecoder")
    return {load_network<AutoencoderKlTemporalDecoder, AutoencoderKlConfig>(folder, backend, dtype), scaling_factor};
  const Weights weights(backend, read_weights(folder), {dtype}, folder.string());
  VideoDecoder decoder{AutoencoderKl(weights, AutoencoderKlConfig::from_json(config, where), AutoencoderParts::decoder), scaling_factor};
  weights.finish();
  return decoder;
}

}  // namespace pyracast
