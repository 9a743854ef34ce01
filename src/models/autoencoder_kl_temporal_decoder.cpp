#include "models/autoencoder_kl_temporal_decoder.hpp"

#include <cmath>

namespace pyracast {

namespace {

constexpr float spatial_epsilon = 1e-6f, temporal_epsilon = 1e-5f;
constexpr int64_t groups = 32;

AutoencoderKlConfig with_groups(AutoencoderKlConfig config) {
  config.norm_num_groups = groups;
  return config;
}

/// Three frames, zeros beyond both ends.
Convolution along_time(const Weights& weights, int64_t in, int64_t out) {
  return Convolution(weights, in, out, {.kernel = {3, 1, 1}, .pad_before = {1, 0, 0}, .pad_after = {1, 0, 0}}, 3);
}

Convolution conv_3x3(const Weights& weights, int64_t in, int64_t out) { return Convolution(weights, in, out, same_2d(3), 2); }

/// [rows, 1, height, width, channels] -> [videos, frames, height, width, channels].
Tensor videos_of(const Tensor& x, int64_t frames) { return x.reshape({x.dim(0) / frames, frames, x.dim(2), x.dim(3), x.dim(4)}); }

void show(const Observer& observe, const char* name, const Tensor& x) {
  if (observe) observe(name, to_planes(x));
}

}  // namespace

SpatioTemporalResnet::SpatioTemporalResnet(const Weights& weights, const AutoencoderKlConfig& config, int64_t in, int64_t out)
    : spatial_(weights / "spatial_res_block", config, in, out), norm1_(weights / "temporal_res_block" / "norm1", out, groups, temporal_epsilon),
      norm2_(weights / "temporal_res_block" / "norm2", out, groups, temporal_epsilon),
      conv1_(along_time(weights / "temporal_res_block" / "conv1", out, out)), conv2_(along_time(weights / "temporal_res_block" / "conv2", out, out)) {
  if (const std::vector<float> factor = weights.numbers("time_mixer.mix_factor", {1}); !factor.empty())
    temporal_share_ = 1 / (1 + std::exp(-factor[0]));
}

Tensor SpatioTemporalResnet::operator()(const Tensor& x, int64_t frames, const Observer& observe) const {
  const Tensor spatial = spatial_(x);
  show(observe, "spatial_res_block", spatial);
  const Tensor video = videos_of(spatial, frames);
  Tensor h = norm1_(video, Activation::silu);
  h = conv1_(h);
  h = norm2_(h, Activation::silu);
  h = conv2_.added_to(video, h);
  observe("temporal_res_block", observe ? permute(h, {0, 4, 1, 2, 3}) : h);
  return combine(1 - temporal_share_, spatial, temporal_share_, h.reshape(spatial.shape()));
}

SpatioTemporalDecoder::SpatioTemporalDecoder(const Weights& weights, const AutoencoderKlConfig& config)
    : conv_in_(conv_3x3(weights / "conv_in", config.latent_channels, config.block_out_channels.back())),
      attention_(weights / "mid_block" / "attentions" / 0, config, config.block_out_channels.back()),
      norm_out_(weights / "conv_norm_out", config.block_out_channels.front(), groups, spatial_epsilon),
      conv_out_(conv_3x3(weights / "conv_out", config.block_out_channels.front(), config.out_channels)),
      time_conv_out_(along_time(weights / "time_conv_out", config.out_channels, config.out_channels)) {
  const int64_t widest = config.block_out_channels.back();
  for (int64_t i = 0; i < config.layers_per_block; ++i) middle_.emplace_back(weights / "mid_block" / "resnets" / i, config, widest, widest);
  const std::vector<int64_t> widths(config.block_out_channels.rbegin(), config.block_out_channels.rend());
  for (size_t i = 0; i < widths.size(); ++i) {
    const Weights block = weights / "up_blocks" / i;
    Level& level = levels_.emplace_back();
    for (int64_t j = 0; j <= config.layers_per_block; ++j)
      level.resnets.emplace_back(block / "resnets" / j, config, j ? widths[i] : widths[i ? i - 1 : 0], widths[i]);
    if (i + 1 < widths.size()) level.upsample = conv_3x3(block / "upsamplers" / 0 / "conv", widths[i], widths[i]);
  }
}

Tensor SpatioTemporalDecoder::operator()(const Tensor& latents, int64_t frames, const Observer& observe) const {
  Tensor h = conv_in_(to_activations(latents));
  show(observe, "conv_in", h);
  h = middle_.front()(h, frames, observe / "mid_block" / "resnets" / 0);
  show(observe, "mid_block.resnets.0", h);
  if (middle_.size() > 1) {   // one attention was published, and ResNets beyond the second are never called
    h = attention_(h);
    h = middle_[1](h, frames);
  }
  show(observe, "mid_block", h);
  for (size_t i = 0; i < levels_.size(); ++i) {
    for (const SpatioTemporalResnet& resnet : levels_[i].resnets) h = resnet(h, frames);
    if (levels_[i].upsample) {
      h = upsample_nearest(h);
      h = (*levels_[i].upsample)(h);
    }
    show(observe, concat("up_blocks.", i).c_str(), h);
  }
  h = norm_out_(h, Activation::silu);
  h = conv_out_(h);
  show(observe, "conv_out", h);
  return to_float32(time_conv_out_(videos_of(h, frames))).reshape(h.shape());
}

AutoencoderKlTemporalDecoder::AutoencoderKlTemporalDecoder(const Weights& weights, const AutoencoderKlConfig& config)
    : config_(with_groups(config)), decoder_(weights / "decoder", config_) {
  if (!weights.has("encoder.conv_in.weight")) return;
  encoder_.emplace(weights / "encoder", config_);
  quant_conv_ = Convolution(weights / "quant_conv", 2 * config_.latent_channels, 2 * config_.latent_channels, same_2d(1), 2);
}

Tensor AutoencoderKlTemporalDecoder::encode(const Tensor& images) const {
  require(encoder_.has_value(), "this autoencoder's file holds no encoder: it cannot encode");
  return quant_conv_((*encoder_)(images, {}));
}

Tensor AutoencoderKlTemporalDecoder::decode(const Tensor& latents, int64_t chunk) const {
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < latents.dim(0); begin += chunk) {
    const int64_t end = std::min(begin + chunk, latents.dim(0));
    parts.push_back(decode_videos(slice(latents, 0, begin, end), end - begin));
  }
  return concatenate(parts, 0);
}

Tensor AutoencoderKlTemporalDecoder::decode_videos(const Tensor& latents, int64_t frames, const Observer& observe) const {
  require(latents.axes() == 5 && latents.dim(1) == 1 && latents.dim(4) == config_.latent_channels && frames > 0 && latents.dim(0) % frames == 0,
          "temporal decoder: latents are ", latents.shape(), ", expected [videos x ", frames, ", 1, height, width, ", config_.latent_channels, "]");
  return decoder_(latents, frames, observe);
}

}  // namespace pyracast
