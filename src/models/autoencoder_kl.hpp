#pragma once
// The image autoencoder of the Stable Diffusion family (diffusers' AutoencoderKL): Latte's `vae`, and the spatial part
// of Open-Sora's. Activations are channels last with a time axis of 1, x [images, 1, height, width, channels].
#include <optional>

#include "base/json.hpp"
#include "nn/layers.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// The published config.json's keys that matter in inference, with the values that all published snapshots share. The
/// scaling factor of latents is the caller's business.
struct AutoencoderKlConfig {
  int64_t in_channels = 3, out_channels = 3;
  int64_t latent_channels = 4;
  std::vector<int64_t> block_out_channels = {128, 256, 512, 512};
  int64_t layers_per_block = 2;
  int64_t norm_num_groups = 32;

  /// Pixels a latent along height and width.
  int64_t downsampling() const { return int64_t(1) << (block_out_channels.size() - 1); }
  /// Throws Error naming `where` and the key on a value that cannot be or that asks for another network.
  static AutoencoderKlConfig from_json(const Json& json, const std::string& where);
};

/// planes [images, channels, height, width] -> [images, 1, height, width, channels].
Tensor from_planes(const Tensor& planes);
/// The way back.
Tensor to_planes(const Tensor& x);

/// The normal distribution that an encoder's moments [..., mean | log variance] describe; the log variance is clamped
/// to -30 to 20.
struct Posterior {
  explicit Posterior(const Tensor& moments);
  Tensor sample(const Tensor& noise) const { return mean + deviation * noise; }

  Tensor mean, log_variance, deviation;
};

/// Two normalised convolutions beside a shortcut; keys norm1, conv1, norm2, conv2, conv_shortcut.
class KlResnet {
 public:
  KlResnet(const Weights& weights, const AutoencoderKlConfig& config, int64_t in, int64_t out);
  Tensor operator()(const Tensor& x) const;

 private:
  GroupNorm norm1_, norm2_;
  Convolution conv1_, conv2_;
  std::optional<Convolution> shortcut_;
};

/// Attention of all positions of an image to each other, one head over all channels, with its residual; keys
/// group_norm, to_q, to_k, to_v, to_out.0, or query, key, value, proj_attn in early snapshots.
class KlAttention {
 public:
  KlAttention(const Weights& weights, const AutoencoderKlConfig& config, int64_t channels);
  Tensor operator()(const Tensor& x) const;

 private:
  GroupNorm norm_;
  Linear q_, k_, v_, out_;
};

/// ResNet, attention, ResNet at the smallest size; keys resnets.0, attentions.0, resnets.1.
class KlMiddle {
 public:
  KlMiddle(const Weights& weights, const AutoencoderKlConfig& config, int64_t channels);
  Tensor operator()(Tensor x, const Observer& observe) const;

 private:
  KlResnet first_;
  KlAttention attention_;
  KlResnet second_;
};

/// The ResNets of one size of the picture, and the convolution that leads to the next size.
struct KlLevel {
  std::vector<KlResnet> resnets;
  std::optional<Convolution> resample;
};

/// Keys conv_in, down_blocks.i, mid_block, conv_norm_out, conv_out.
class KlEncoder {
 public:
  KlEncoder(const Weights& weights, const AutoencoderKlConfig& config);
  /// images [n, 1, height, width, in_channels] -> [n, 1, height / 8, width / 8, 2 * latent_channels], rounded down.
  /// Shows conv_in, down_blocks.i, mid_block.attentions.0, mid_block.
  Tensor operator()(const Tensor& images, const Observer& observe) const;

 private:
  Convolution conv_in_;
  std::vector<KlLevel> levels_;
  KlMiddle middle_;
  GroupNorm norm_out_;
  Convolution conv_out_;
};

/// Keys conv_in, mid_block, up_blocks.i, conv_norm_out, conv_out.
class KlDecoder {
 public:
  KlDecoder(const Weights& weights, const AutoencoderKlConfig& config);
  /// latents [n, 1, h, w, latent_channels] -> [n, 1, 8 h, 8 w, out_channels]. Shows conv_in, mid_block.attentions.0,
  /// mid_block, up_blocks.i.
  Tensor operator()(const Tensor& latents, const Observer& observe) const;

 private:
  Convolution conv_in_;
  KlMiddle middle_;
  std::vector<KlLevel> levels_;
  GroupNorm norm_out_;
  Convolution conv_out_;
};

/// What of an autoencoder is wanted. `decoder`: a file that holds the encoder as well is accepted, its encoder is
/// checked and dropped.
enum class AutoencoderParts { whole, decoder };

class AutoencoderKl {
 public:
  AutoencoderKl(const Weights& weights, const AutoencoderKlConfig& config,
                AutoencoderParts parts = AutoencoderParts::whole);

  const AutoencoderKlConfig& config() const { return config_; }

  /// images [n, 1, height, width, in_channels], about -1 to 1 -> moments [n, 1, h, w, 2 * latent_channels] for
  /// Posterior. `observe` sees the encoder's tensors.
  Tensor encode(const Tensor& images, const Observer& observe = {}) const;
  /// latents [n, 1, h, w, latent_channels], not scaled any more -> images, about -1 to 1, not clamped. `observe` sees
  /// post_quant_conv and the decoder's tensors.
  Tensor decode(const Tensor& latents, const Observer& observe = {}) const;

 private:
  AutoencoderKlConfig config_;
  std::optional<KlEncoder> encoder_;
  Convolution quant_conv_, post_quant_conv_;
  KlDecoder decoder_;
};

}  // namespace pyracast
