#include "models/open_sora_vae.hpp"

#include <algorithm>
#include <cmath>

namespace pyracast {

namespace {

// A constant of the published code; the scaling factor in the spatial part's own config is not used.
constexpr float spatial_scaling = 0.18215f;

constexpr float factor_tolerance = 1e-6f;

std::optional<int64_t> optional_size(const Json& json, const char* key, const std::string& where) {
  if (!json.contains(key) || json.at(key).is_null()) return std::nullopt;
  const auto size = value<int64_t>(json, key, where);
  require(size > 0, where, ": \"", key, "\" is ", size, ", expected a positive number or null");
  return size;
}

/// An object of the config that may be absent; its `type`, where it has one, must be this network's.
Json network(const Json& json, const char* key, const char* type, const std::string& where) {
  const Json found = value_or(json, key, Json::object(), where);
  require(found.is_object(), where, ": \"", key, "\" is ", found.dump(), ", expected an object");
  const auto named = value_or(found, "type", std::string(type), where);
  require(named == type, where, ": \"", key, "\" has the type ", named, ", this network knows only ", type);
  return found;
}

Tensor scaled(const Tensor& x, float factor) { return combine(factor, x, 0, x); }

Tensor channels_last(const Tensor& x) { return permute(x, {0, 2, 3, 4, 1}); }
Tensor channels_first(const Tensor& x) { return permute(x, {0, 4, 1, 2, 3}); }

/// x [..., channels] * factors + offsets, channel by channel.
Tensor affine(const Tensor& x, const std::vector<float>& factors, const std::vector<float>& offsets) {
  const Shape shape{1, int64_t(factors.size())};
  const Tensor zero = zeros(x.backend(), shape);
  return modulate(gate(x, Tensor(x.backend(), shape, factors)), Tensor(x.backend(), shape, offsets), zero);
}

/// How one frame lies in a video [B, C, F, H, W] and in an image [H, W, C]: strides along (row, column, channel).
struct FrameLayout {
  explicit FrameLayout(const Shape& video)
      : channels(video[1]), frames(video[2]), plane(video[3] * video[4]), extent{video[3], video[4], channels},
        in_video{video[4], 1, frames * plane}, in_image{video[4] * channels, channels, 1} {}

  /// Frame `index`, counted through all batch entries.
  int64_t video_offset(int64_t index) const { return (index / frames * channels * frames + index % frames) * plane; }
  int64_t image_offset(int64_t index) const { return index * plane * channels; }

  int64_t channels, frames, plane;
  Shape extent, in_video, in_image;
};

/// Frames `first` to `first + count` of a video, counted through all batch entries, as [count, 1, H, W, C].
Tensor take_frames(const Tensor& video, int64_t first, int64_t count) {
  const FrameLayout layout(video.shape());
  Tensor images(video.backend(), {count, 1, video.dim(3), video.dim(4), video.dim(1)});
  for (int64_t i = 0; i < count; ++i)
    video.backend().copy(video.view(), layout.video_offset(first + i), layout.in_video, images.view(),
                         layout.image_offset(i), layout.in_image, layout.extent);
  return images;
}

/// The way back, into the video: a second copy of a long one would take gigabytes.
void put_frames(const Tensor& images, Tensor& video, int64_t first) {
  const FrameLayout layout(video.shape());
  for (int64_t i = 0; i < images.dim(0); ++i)
    video.backend().copy(images.view(), layout.image_offset(i), layout.in_image, video.view(),
                         layout.video_offset(first + i), layout.in_video, layout.extent);
}

/// Shows of the first micro batch what parity cases hold: these tensors, and of the large ones only one frame.
Observer first_micro_batch(const Observer& observe, const char* part, std::vector<std::string> whole,
                           std::string one_frame) {
  if (!observe) return {};
  return Observer([=, shown = observe / "mb0" / part](const std::string& name, const Tensor& value) {
    if (name == one_frame) shown(name.c_str(), slice(value, 0, 0, 1));
    if (std::find(whole.begin(), whole.end(), name) != whole.end()) shown(name.c_str(), value);
  });
}

}  // namespace

LatentFactor LatentFactor::from_json(const Json& json, const char* key, double fallback, const std::string& where) {
  if (!json.contains(key) || json.at(key).is_null() || json.at(key).is_number())
    return {{float(value_or(json, key, fallback, where))}, {}};
  const auto values = value<std::vector<float>>(json, key, where);
  require(!values.empty(), where, ": \"", key, "\" is an empty list, expected a number or one for each latent channel");
  return {values, {1, int64_t(values.size()), 1, 1, 1}};
}

OpenSoraVaeConfig OpenSoraVaeConfig::from_json(const Json& json, const std::string& where) {
  OpenSoraVaeConfig c;
  c.where = where;
  const Json spatial = network(json, "vae_2d", "VideoAutoencoderKL", where);
  const Json temporal = network(json, "vae_temporal", "VAE_Temporal_SD", where);
  c.micro_frame_size = optional_size(json, "micro_frame_size", where);
  c.micro_batch_size = optional_size(spatial, "micro_batch_size", where);
  const auto widths = [&](const Json& part) { return value_or(part, "config", Json::object(), where); };
  c.spatial = AutoencoderKlConfig::from_json(widths(spatial), where + ": vae_2d.config");
  c.temporal = TemporalVaeConfig::from_json(widths(temporal), where + ": vae_temporal.config");
  require(c.temporal.in_out_channels == c.spatial.latent_channels, where, ": the temporal part takes ",
          c.temporal.in_out_channels, " channels, but the spatial part has ", c.spatial.latent_channels,
          " latent channels");
  c.scale = LatentFactor::from_json(json, "scale", 1, where);
  c.shift = LatentFactor::from_json(json, "shift", 0, where);
  for (const LatentFactor* factor : {&c.scale, &c.shift})
    require(factor->values.size() == 1 || int64_t(factor->values.size()) == c.temporal.embed_dim, where,
            ": \"scale\" and \"shift\" must be one number or ", c.temporal.embed_dim, ", found ", c.scale.values,
            " and ", c.shift.values);
  require(std::find(c.scale.values.begin(), c.scale.values.end(), 0.f) == c.scale.values.end(), where,
          ": \"scale\" is ", c.scale.values, ", but latents are divided by it");
  return c;
}

OpenSoraVae::OpenSoraVae(const Weights& weights, const OpenSoraVaeConfig& config)
    : config_(config), spatial_(weights / "spatial_vae" / "module", config.spatial),
      temporal_(weights / "temporal_vae", config.temporal), scale_(factor(weights, "scale", config.scale)),
      shift_(factor(weights, "shift", config.shift)) {}

// A snapshot kept in bfloat16 holds the config's numbers rounded.
std::vector<float> OpenSoraVae::factor(const Weights& weights, const char* name, const LatentFactor& expected) const {
  std::vector<float> values = weights.numbers(name, expected.stored_shape);
  if (values.empty()) values = expected.values;   // absent: finish() reports it
  for (size_t i = 0; i < values.size(); ++i) {
    const float wanted = expected.values[i];
    require(std::abs(values[i] - wanted) <= factor_tolerance || values[i] == round_to_bfloat16(wanted), "\"", name,
            "\" in the weights is ", values, ", but ", config_.where, " says ", expected.values,
            ": they do not belong to the same snapshot");
  }
  if (values.size() == 1) values.assign(size_t(config_.temporal.embed_dim), values.front());
  return values;
}

std::vector<VaeChunk> OpenSoraVae::chunks(int64_t frames) const {
  require(frames > 0, "a video of ", frames, " frames, expected at least 1");
  const int64_t step = config_.micro_frame_size.value_or(frames);
  std::vector<VaeChunk> chunks;
  for (VaeChunk chunk; chunk.first_frame < frames;
       chunk.first_frame += chunk.frames, chunk.first_latent += chunk.latents) {
    chunk.frames = std::min(step, frames - chunk.first_frame);
    chunk.latents = config_.temporal.latent_frames(chunk.frames);
    chunks.push_back(chunk);
  }
  return chunks;
}

std::vector<int64_t> OpenSoraVae::micro_batches(int64_t frames) const {
  const int64_t step = config_.micro_batch_size.value_or(frames);
  std::vector<int64_t> batches;
  for (int64_t first = 0; first < frames; first += step) batches.push_back(std::min(step, frames - first));
  return batches;
}

int64_t OpenSoraVae::latent_frames(int64_t frames) const {
  const VaeChunk last = chunks(frames).back();
  return last.first_latent + last.latents;
}

Shape OpenSoraVae::latent_shape(int64_t batch, int64_t frames, int64_t height, int64_t width) const {
  const int64_t pixels = config_.spatial.downsampling();
  return {batch, config_.temporal.embed_dim, latent_frames(frames), height / pixels, width / pixels};
}

Tensor OpenSoraVae::decode(const Tensor& z, int64_t num_frames, const Observer& observe) const {
  require(z.axes() == 5 && z.dim(1) == config_.temporal.embed_dim && z.dim(2) == latent_frames(num_frames),
          "VAE: the latents are ", z.shape(), ", expected [batch, ", config_.temporal.embed_dim, ", ",
          latent_frames(num_frames), ", height, width] for ", num_frames, " frames");
  std::vector<Tensor> parts;
  for (const VaeChunk& chunk : chunks(num_frames)) parts.push_back(decode_chunk(z, chunk, observe));
  const Tensor frame_latents = concatenate(parts, 1);
  if (observe) (observe / "decode")("temporal_out", channels_first(frame_latents));
  const Tensor video = decode_frames(frame_latents, observe);
  (observe / "decode")("video", video);
  return video;
}

Tensor OpenSoraVae::decode(const Tensor& z, int64_t num_frames, Communicator& team) const {
  if (team.size() == 1) return decode(z, num_frames);
  require(z.dim(0) == 1, "VAE: a team decodes one video at a time, not ", z.dim(0));
  const auto own = [&](int64_t count) {
    return std::pair(part_start(count, team.rank(), team.size()), part_start(count, team.rank() + 1, team.size()));
  };

  const std::vector<VaeChunk> all = chunks(num_frames);
  std::vector<int64_t> frames_of_ranks(size_t(team.size()), 0);
  for (int rank = 0; rank < team.size(); ++rank)
    for (int64_t i = part_start(int64_t(all.size()), rank, team.size()); i < part_start(int64_t(all.size()), rank + 1, team.size()); ++i)
      frames_of_ranks[size_t(rank)] += all[size_t(i)].frames;
  const auto [first_chunk, last_chunk] = own(int64_t(all.size()));
  std::vector<Tensor> parts{Tensor(z.backend(), {1, 0, z.dim(3), z.dim(4), z.dim(1)})};
  for (int64_t i = first_chunk; i < last_chunk; ++i) parts.push_back(decode_chunk(z, all[size_t(i)]));
  const Tensor frame_latents = gather(team, concatenate(parts, 1), 1, frames_of_ranks);

  const auto [first, last] = own(num_frames);
  return gather(team, decode_frames(slice(frame_latents, 1, first, last)), 2, part_sizes(num_frames, team.size()));
}

Tensor OpenSoraVae::decode_chunk(const Tensor& z, const VaeChunk& chunk, const Observer& observe) const {
  const Tensor part = channels_last(slice(z, 2, chunk.first_latent, chunk.first_latent + chunk.latents));
  const bool first = chunk.first_frame == 0;
  return temporal_.decode(affine(part, scale_, shift_), chunk.frames,
                          first ? observe / "chunk0" / "temporal_decoder" : Observer());
}

Tensor OpenSoraVae::decode_frames(const Tensor& frame_latents, const Observer& observe) const {
  const int64_t batch = frame_latents.dim(0), frames = frame_latents.dim(1), count = batch * frames;
  const int64_t h = frame_latents.dim(2), w = frame_latents.dim(3), pixels = config_.spatial.downsampling();
  const Tensor images = scaled(frame_latents, 1 / spatial_scaling).reshape({count, 1, h, w, -1});
  Tensor video(images.backend(), {batch, config_.spatial.out_channels, frames, h * pixels, w * pixels});
  const int64_t step = config_.micro_batch_size.value_or(count);
  for (int64_t first = 0; first < count; first += step) {
    const Observer inside = first ? Observer()
                                  : first_micro_batch(observe, "spatial_decoder",
                                                      {"post_quant_conv", "conv_in", "mid_block"}, "up_blocks.0");
    put_frames(spatial_.decode(slice(images, 0, first, std::min(first + step, count)), inside), video, first);
  }
  return video;
}

Tensor OpenSoraVae::encode(const Tensor& video, const Tensor& noise_spatial, const Tensor& noise_temporal,
                           const Observer& observe) const {
  return encode_moments(frame_moments(video, observe), noise_spatial, noise_temporal, observe);
}

Tensor OpenSoraVae::frame_moments(const Tensor& video, const Observer& observe) const {
  require(video.axes() == 5 && video.dim(1) == config_.spatial.in_channels, "VAE: the video is ", video.shape(),
          ", expected [batch, ", config_.spatial.in_channels, ", frames, height, width]");
  const int64_t count = video.dim(0) * video.dim(2), step = config_.micro_batch_size.value_or(count);
  std::vector<Tensor> parts;
  for (int64_t first = 0; first < count; first += step) {
    const Observer inside =
        first ? Observer() : first_micro_batch(observe, "spatial_encoder", {"mid_block"}, "conv_in");
    parts.push_back(spatial_.encode(take_frames(video, first, std::min(step, count - first)), inside));
  }
  const Tensor moments = concatenate(parts, 0);
  if (observe) (observe / "encode")("spatial_moments", to_planes(moments));
  return moments;
}

Tensor OpenSoraVae::encode_moments(const Tensor& moments, const Tensor& noise_spatial, const Tensor& noise_temporal, const Observer& observe) const {
  const int64_t count = moments.dim(0), h = moments.dim(2), w = moments.dim(3), batch = noise_temporal.dim(0), frames = count / batch;
  const Shape frame_latents{count, config_.spatial.latent_channels, h, w}, latents{batch, config_.temporal.embed_dim, latent_frames(frames), h, w};
  require(noise_spatial.shape() == frame_latents && noise_temporal.shape() == latents, "VAE: the noise is ",
          noise_spatial.shape(), " and ", noise_temporal.shape(), ", expected ", frame_latents, " and ", latents);
  const Tensor drawn = scaled(Posterior(moments).sample(from_planes(noise_spatial)), spatial_scaling);
  return encode_chunks(drawn.reshape({batch, frames, drawn.dim(2), drawn.dim(3), drawn.dim(4)}), noise_temporal, observe);
}

Tensor OpenSoraVae::encode_chunks(const Tensor& frame_latents, const Tensor& noise, const Observer& observe) const {
  if (observe) (observe / "encode")("x_z", channels_first(frame_latents));
  std::vector<Tensor> parts;
  for (const VaeChunk& chunk : chunks(frame_latents.dim(1))) {
    const Tensor part = slice(frame_latents, 1, chunk.first_frame, chunk.first_frame + chunk.frames);
    const bool first = chunk.first_frame == 0;
    parts.push_back(temporal_.encode(part, first ? observe / "chunk0" / "temporal_encoder" : Observer()));
  }
  const Tensor moments = concatenate(parts, 1);
  if (observe) (observe / "encode")("temporal_moments", channels_first(moments));

  std::vector<float> factors, offsets;   // (z - shift) / scale
  for (size_t c = 0; c < scale_.size(); ++c) {
    factors.push_back(1 / scale_[c]);
    offsets.push_back(-shift_[c] / scale_[c]);
  }
  const Tensor z = channels_first(affine(Posterior(moments).sample(channels_last(noise)), factors, offsets));
  (observe / "encode")("z", z);
  return z;
}

}  // namespace pyracast
