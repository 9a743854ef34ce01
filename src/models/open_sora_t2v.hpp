#pragma once
// Open-Sora-Plan v1.2's transformer (OpenSoraT2V): one block after the other over all tokens of a video at once, with three
// rotary coordinates, x [batch, time, space, channels].
#include "models/latte.hpp"

namespace pyracast {

/// The published config.json's keys that matter in inference.
struct OpenSoraT2vConfig {
  LatteConfig sizes;                               ///< channels, heads, layers, caption, norm_eps; patches of 2
  int64_t sample_height = 60, sample_width = 80;   ///< latents that positions were trained on
  int64_t sample_frames = 24;
  double scale_time = 1, scale_height = 1, scale_width = 1;   ///< positions are divided by these

  /// Throws Error naming `where` and the key on a value that cannot be.
  static OpenSoraT2vConfig from_json(const Json& json, const std::string& where);
};

class OpenSoraT2vBlock {
 public:
  OpenSoraT2vBlock(const Weights& weights, const LatteConfig& config, int index);
  /// `bias` (empty: none) [batch, time * space] is added to the scores of each key, `rotary` null where positions are absolute.
  Tensor operator()(Tensor x, const Tensor& time, const LatteCaption& caption, const Tensor& bias, const RotaryTable* rotary, Run& run) const;

 private:
  int index_;
  float epsilon_;
  Tensor scale_shift_table_;
  LatteSelfAttention attention_;
  LatteCrossAttention cross_attention_;
  Mlp mlp_;
};

/// In a Run its sites are spatial_attention, spatial_cross and spatial_mlp of each block; tokens rest along space, and heads are
/// exchanged inside the attention. The published pipeline stores attention outputs before their gate.
class OpenSoraT2v {
 public:
  OpenSoraT2v(const Weights& weights, const OpenSoraT2vConfig& config);

  const OpenSoraT2vConfig& config() const { return config_; }

  /// As Latte's.
  Shape token_shape(const Shape& latents) const;
  LatteCaption embed_caption(const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe = {}) const;
  Tensor operator()(const Tensor& latents, const std::vector<float>& timesteps, const LatteCaption& caption, Run& run,
                    const std::vector<float>& kept = {}) const;

 private:
  OpenSoraT2vConfig config_;
  Convolution patches_;
  AdaLnSingle time_;
  Mlp caption_projection_;
  std::vector<OpenSoraT2vBlock> blocks_;
  Tensor final_table_;
  Linear final_linear_;

  RotaryTable rotary(int64_t frames, int64_t rows, int64_t columns) const;
  Tensor absolute_positions(int64_t frames, int64_t rows, int64_t columns) const;
};

}  // namespace pyracast
