#pragma once
// The temporal part of Open-Sora's VAE v1.2 (opensora/models/vae/vae_temporal.py of that release): codes the latents of
// single frames along time, with convolutions that look back only. Activations are channels last,
// x [batch, time, height, width, channels].
#include <optional>

#include "base/json.hpp"
#include "nn/layers.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// The keys of `vae_temporal.config`; the defaults are the published network (VAE_Temporal_SD), whose config.json has
/// none of them.
struct TemporalVaeConfig {
  int64_t in_out_channels = 4;    ///< of the frames' latents
  int64_t latent_embed_dim = 4;   ///< between the networks and their 1x1x1 convolutions
  int64_t embed_dim = 4;          ///< of the result
  int64_t filters = 128;
  int64_t num_res_blocks = 4;
  std::vector<int64_t> channel_multipliers = {1, 2, 2, 4};
  std::vector<bool> temporal_downsample = {false, true, true};   ///< between the levels
  int64_t num_groups = 32;

  int64_t levels() const { return int64_t(channel_multipliers.size()); }
  int64_t width(int64_t level) const { return filters * channel_multipliers[size_t(level)]; }
  /// Frames a latent.
  int64_t time_factor() const;
  int64_t latent_frames(int64_t frames) const { return (frames + time_factor() - 1) / time_factor(); }
  /// Throws Error naming `where` and the key on a value that cannot be or that asks for another network.
  static TemporalVaeConfig from_json(const Json& json, const std::string& where);
};

/// Two normalised convolutions beside a shortcut; keys norm1, conv1, norm2, conv2, conv3 (the shortcut).
class TemporalResBlock {
 public:
  TemporalResBlock(const Weights& weights, const TemporalVaeConfig& config, int64_t in, int64_t out);
  Tensor operator()(const Tensor& x) const;

 private:
  GroupNorm norm1_, norm2_;
  Convolution conv1_, conv2_;
  std::optional<Convolution> shortcut_;
};

/// The blocks of one rate of frames, and the convolution that leads to the next one (absent: the rate stays).
struct TemporalLevel {
  std::vector<TemporalResBlock> blocks;
  std::optional<Convolution> resample;
};

/// Keys conv_in, block_res_blocks.i, conv_blocks.i, res_blocks, norm1, conv2.
class TemporalEncoder {
 public:
  TemporalEncoder(const Weights& weights, const TemporalVaeConfig& config);
  /// x [b, t, h, w, in_out_channels] -> [b, t / time_factor, h, w, 2 * latent_embed_dim]; t is a multiple of the
  /// factor. Shows conv_in, block_res_blocks.i, norm1.
  Tensor operator()(const Tensor& x, const Observer& observe) const;

 private:
  Convolution conv_in_;
  std::vector<TemporalLevel> levels_;
  std::vector<TemporalResBlock> res_blocks_;
  GroupNorm norm1_;
  Convolution conv2_;
};

/// Keys conv1, res_blocks, block_res_blocks.i, conv_blocks.i, norm1, conv_out.
class TemporalDecoder {
 public:
  TemporalDecoder(const Weights& weights, const TemporalVaeConfig& config);
  /// z [b, t, h, w, latent_embed_dim] -> [b, t * time_factor, h, w, in_out_channels]. Shows conv1, then with falling i
  /// block_res_blocks.i and conv_blocks.(i-1) (before its channels become frames), then norm1.
  Tensor operator()(const Tensor& z, const Observer& observe) const;

 private:
  Convolution conv1_;
  std::vector<TemporalResBlock> res_blocks_;
  std::vector<TemporalLevel> levels_;   // by level, used from the last to the first
  GroupNorm norm1_;
  Convolution conv_out_;
};

class TemporalVae {
 public:
  TemporalVae(const Weights& weights, const TemporalVaeConfig& config);

  const TemporalVaeConfig& config() const { return config_; }

  /// x [b, frames, h, w, in_out_channels] -> moments [b, latent_frames(frames), h, w, 2 * embed_dim] for Posterior.
  Tensor encode(const Tensor& x, const Observer& observe = {}) const;
  /// z [b, latent_frames(frames), h, w, embed_dim] -> [b, frames, h, w, in_out_channels]. `observe` sees
  /// post_quant_conv and the decoder's tensors.
  Tensor decode(const Tensor& z, int64_t frames, const Observer& observe = {}) const;

 private:
  TemporalVaeConfig config_;
  TemporalEncoder encoder_;
  Convolution quant_conv_, post_quant_conv_;
  TemporalDecoder decoder_;
};

}  // namespace pyracast
