#pragma once
// The causal video autoencoder of Open-Sora-Plan v1.1 and v1.2 (CausalVAEModel): convolutions see no later frame, and the
// layers of the graph are named in config.json. x [batch, time, height, width, channels].
#include <functional>

#include "base/json.hpp"
#include "comm/communicator.hpp"
#include "nn/layers.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// The published config.json's keys that matter in inference.
struct CausalVaeConfig {
  int64_t hidden_size = 128, num_res_blocks = 2, z_channels = 4, embed_dim = 4;
  std::vector<int64_t> hidden_size_mult = {1, 2, 4, 4};
  /// A name a level: ResnetBlock2D or ResnetBlock3D, and how a level ends: Downsample, Spatial2xTime2x3DDownsample,
  /// TimeDownsampleRes2x; SpatialUpsample2x, Spatial2xTime2x3DUpsample, TimeUpsampleRes2x; empty: it does not.
  std::vector<std::string> encoder_resnet_blocks, decoder_resnet_blocks;
  std::vector<std::string> encoder_spatial_downsample, encoder_temporal_downsample, decoder_spatial_upsample, decoder_temporal_upsample;

  int64_t width(size_t level) const { return hidden_size * hidden_size_mult[level]; }
  /// Throws Error naming `where` and the key on a layer that this network does not know.
  static CausalVaeConfig from_json(const Json& json, const std::string& where);
};

/// Pictures are cut into tiles that overlap in space and are blended, and into chunks of frames that share one. Norms see a
/// tile only, so that results differ from untiled ones: the published pipelines tile.
struct CausalVaeTiling {
  int64_t sample_size = 256, latent_size = 32;     ///< pixels, latents of a tile along height and width
  int64_t sample_frames = 65, latent_frames = 17;  ///< of a chunk
  double overlap = 0.25;
};

class CausalVae {
 public:
  CausalVae(const Weights& weights, const CausalVaeConfig& config);

  /// x [batch, frames, height, width, 3], about -1 to 1 -> moments [batch, latent frames, h, w, 2 * embed_dim], mean | log
  /// variance. `observe` sees the layers of what is not tiled.
  Tensor encode(const Tensor& x, const std::optional<CausalVaeTiling>& tiling, const Observer& observe = {}) const;
  /// z [batch, latent frames, h, w, embed_dim], divided by the scaling factor -> frames [batch, frames, height, width, 3].
  Tensor decode(const Tensor& z, const std::optional<CausalVaeTiling>& tiling, const Observer& observe = {}) const;
  /// The same by the ranks of a team, on every rank: chunks of frames are dealt out.
  Tensor decode(const Tensor& z, const std::optional<CausalVaeTiling>& tiling, Communicator& team) const;

 private:
  using Layer = std::function<Tensor(const Tensor&)>;
  struct Level {
    std::vector<Layer> resnets;
    Layer spatial, temporal;   // absent where the level keeps its size
  };
  struct Middle {
    Layer first, attention, second;
  };
  Layer encoder_in_, encoder_out_, quant_, post_quant_, decoder_in_, decoder_out_;
  GroupNorm encoder_norm_, decoder_norm_;
  std::vector<Level> down_, up_;   // level 0 is the widest picture
  Middle encoder_middle_, decoder_middle_;
  int64_t frames_a_latent_ = 1, pixels_a_latent_ = 1;   // of the decoder; the first latent frame makes one

  Tensor moments(const Tensor& x, const Observer& observe) const;
  Tensor frames(const Tensor& z, const Observer& observe) const;
  /// One chunk of frames, tiled in space.
  Tensor tiled_frames(const Tensor& z, const CausalVaeTiling& tiling) const;
};

}  // namespace pyracast
