#pragma once
// Open-Sora's VAE v1.2 (opensora/models/vae/vae.py of that release, VideoAutoencoderPipeline): an image autoencoder
// codes every frame by itself, a temporal one codes chunks of the frames' latents along time. Frames are decoded
// independently of each other, and so are chunks: any split of the work gives the same bits.
#include "comm/gather.hpp"
#include "models/autoencoder_kl.hpp"
#include "models/temporal_vae.hpp"

namespace pyracast {

/// One number for each latent channel, or one for all, as config.json gives it; the weights hold it a second time.
struct LatentFactor {
  std::vector<float> values;
  Shape stored_shape;   ///< in the weights: [1, channels, 1, 1, 1], or [] for a single number

  static LatentFactor from_json(const Json& json, const char* key, double fallback, const std::string& where);
};

struct OpenSoraVaeConfig {
  std::optional<int64_t> micro_frame_size;   ///< frames coded together along time; absent: all
  std::optional<int64_t> micro_batch_size;   ///< frames that the spatial part takes at a time; absent: all
  LatentFactor scale, shift;                 ///< latents given to the world are (z - shift) / scale
  AutoencoderKlConfig spatial;
  TemporalVaeConfig temporal;
  std::string where;                         ///< the file this comes from, for messages

  /// Reads the published config.json, and the widths in `vae_2d.config` and `vae_temporal.config` where it has them
  /// (else the published network's). Throws Error naming `where` and the key.
  static OpenSoraVaeConfig from_json(const Json& json, const std::string& where);
};

/// Frames that are coded together along time, and the latents they make; counted from the start of the video.
struct VaeChunk {
  int64_t first_frame = 0, frames = 0;
  int64_t first_latent = 0, latents = 0;
};

class OpenSoraVae {
 public:
  /// Throws Error when `scale` or `shift` in the weights differ from the config's.
  OpenSoraVae(const Weights& weights, const OpenSoraVaeConfig& config);

  const OpenSoraVaeConfig& config() const { return config_; }

  /// Latent frames of so many frames.
  int64_t latent_frames(int64_t frames) const;
  /// [batch, channels, time, height, width] of the latents of a video of so many pixels; sizes are rounded down.
  Shape latent_shape(int64_t batch, int64_t frames, int64_t height, int64_t width) const;
  std::vector<VaeChunk> chunks(int64_t frames) const;

  /// z [B, 4, latent_frames(num_frames), h, w] -> video [B, 3, num_frames, 8 h, 8 w], about -1 to 1, not clamped.
  /// `observe` sees decode.*, and the inside of the first chunk (chunk0.*) and of the first micro batch (mb0.*).
  Tensor decode(const Tensor& z, int64_t num_frames, const Observer& observe = {}) const;
  /// The same by the ranks of a team, on every rank: chunks are dealt out, then frames; z of one video, on every rank.
  Tensor decode(const Tensor& z, int64_t num_frames, Communicator& team) const;
  /// The first half of decode, for one chunk of the whole z: the latents of its frames [B, frames, h, w, 4].
  Tensor decode_chunk(const Tensor& z, const VaeChunk& chunk, const Observer& observe = {}) const;
  /// The second half, for any run of frames: their latents [B, F, h, w, 4] -> video [B, 3, F, 8 h, 8 w].
  Tensor decode_frames(const Tensor& frame_latents, const Observer& observe = {}) const;

  /// video [B, 3, F, H, W], about -1 to 1 -> z [B, 4, latent_frames(F), h, w]. The normal draws of the two posteriors:
  /// noise_spatial [B * F, 4, h, w], row b * F + f; noise_temporal like z.
  Tensor encode(const Tensor& video, const Tensor& noise_spatial, const Tensor& noise_temporal,
                const Observer& observe = {}) const;

  /// The same in two steps. The first, of the spatial part, is the larger one and takes no noise: the moments of each frame [B * F, 1, h, w, 8].
  Tensor frame_moments(const Tensor& video, const Observer& observe = {}) const;
  Tensor encode_moments(const Tensor& moments, const Tensor& noise_spatial, const Tensor& noise_temporal, const Observer& observe = {}) const;

  /// How many frames the spatial part is given at a time.
  std::vector<int64_t> micro_batches(int64_t frames) const;

 private:
  OpenSoraVaeConfig config_;
  AutoencoderKl spatial_;
  TemporalVae temporal_;
  std::vector<float> scale_, shift_;   // one number for each latent channel, as stored

  std::vector<float> factor(const Weights& weights, const char* name, const LatentFactor& expected) const;
  Tensor encode_chunks(const Tensor& frame_latents, const Tensor& noise, const Observer& observe) const;
};

}  // namespace pyracast
