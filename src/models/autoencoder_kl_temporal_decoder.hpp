#pragma once
// The image autoencoder whose decoder also looks along time (diffusers' AutoencoderKLTemporalDecoder, of Stable Video
// Diffusion): Latte's `vae_temporal_decoder`. Activations are channels last, x [rows, 1, height, width, channels], where the
// frames of a video are rows in a row.
#include "models/autoencoder_kl.hpp"

namespace pyracast {

/// A spatial ResNet, a temporal one on its output, and a learned mixture of both; keys spatial_res_block,
/// temporal_res_block, time_mixer.mix_factor.
class SpatioTemporalResnet {
 public:
  SpatioTemporalResnet(const Weights& weights, const AutoencoderKlConfig& config, int64_t in, int64_t out);
  /// `frames`: rows of one video.
  Tensor operator()(const Tensor& x, int64_t frames, const Observer& observe = {}) const;

 private:
  KlResnet spatial_;
  GroupNorm norm1_, norm2_;
  Convolution conv1_, conv2_;
  float temporal_share_ = 0;
};

class SpatioTemporalDecoder {
 public:
  SpatioTemporalDecoder(const Weights& weights, const AutoencoderKlConfig& config);
  /// latents [rows, 1, h, w, latent_channels] -> images [rows, 1, 8 h, 8 w, out_channels]. Shows conv_in,
  /// mid_block.resnets.0 and its two halves, mid_block, up_blocks.i, conv_out.
  Tensor operator()(const Tensor& latents, int64_t frames, const Observer& observe) const;

 private:
  Convolution conv_in_;
  std::vector<SpatioTemporalResnet> middle_;   // attention stands between the first and the second
  KlAttention attention_;
  struct Level {
    std::vector<SpatioTemporalResnet> resnets;
    std::optional<Convolution> upsample;
  };
  std::vector<Level> levels_;
  GroupNorm norm_out_;
  Convolution conv_out_, time_conv_out_;
};

class AutoencoderKlTemporalDecoder {
 public:
  /// A file may hold the decoder alone.
  AutoencoderKlTemporalDecoder(const Weights& weights, const AutoencoderKlConfig& config);

  const AutoencoderKlConfig& config() const { return config_; }
  bool encodes() const { return encoder_.has_value(); }

  /// images [n, 1, height, width, in_channels] -> moments for Posterior. Throws Error where the encoder is absent.
  Tensor encode(const Tensor& images) const;
  /// latents [rows, 1, h, w, latent_channels], not scaled any more -> images, about -1 to 1. Rows are taken `chunk` at a
  /// time and each such run is decoded as one video, also across the border of two: what the published pipelines do.
  Tensor decode(const Tensor& latents, int64_t chunk) const;
  /// The same of whole videos of `frames` rows each.
  Tensor decode_videos(const Tensor& latents, int64_t frames, const Observer& observe = {}) const;

 private:
  AutoencoderKlConfig config_;
  std::optional<KlEncoder> encoder_;
  Convolution quant_conv_;
  SpatioTemporalDecoder decoder_;
};

}  // namespace pyracast
