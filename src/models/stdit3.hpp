#pragma once
// STDiT3, the diffusion transformer of Open-Sora v1.2 (opensora/models/stdit/stdit3.py of that release): pairs of a
// spatial and a temporal block over tokens x [batch, time, space, channels].
#include "base/json.hpp"
#include "models/run.hpp"
#include "nn/layers.hpp"

namespace pyracast {

/// The published config.json's keys that matter in inference, with the published model's values.
struct Stdit3Config {
  int64_t input_sq_size = 512;
  int64_t in_channels = 4;
  int64_t patch_size[3] = {1, 2, 2};   ///< time, height, width
  int64_t hidden_size = 1152;
  int64_t depth = 28;
  int64_t num_heads = 16;
  double mlp_ratio = 4;
  bool pred_sigma = true;
  int64_t caption_channels = 4096;
  int64_t model_max_length = 300;
  bool qk_norm = true;

  int64_t head_size() const { return hidden_size / num_heads; }
  int64_t out_channels() const { return pred_sigma ? 2 * in_channels : in_channels; }
  int64_t patch_volume() const { return patch_size[0] * patch_size[1] * patch_size[2]; }

  /// Throws Error naming `where` and the key on a value that cannot be.
  static Stdit3Config from_json(const Json& json, const std::string& where);
};

/// A caption as the cross attentions see it: the kept tokens of all batch entries in a row.
struct CaptionTokens {
  Tensor tokens;                 ///< [1, all kept tokens, hidden]
  std::vector<KeyRange> keys;    ///< [batch]: those of each entry
};

/// What one evaluation is conditioned on, besides the caption.
struct Stdit3Conditioning {
  std::vector<float> timesteps;   ///< [batch], 0 to 1000
  std::vector<float> fps;         ///< [batch]
  float height = 0, width = 0;    ///< pixels
  /// [batch, frames after temporal patching]: frames with 0 are known and see timestep 0. Empty: all 1.
  std::vector<int64_t> frame_mask;
};

/// Self attention; keys qkv, q_norm, k_norm, proj.
class Stdit3Attention {
 public:
  Stdit3Attention(const Weights& weights, const Stdit3Config& config);
  /// Sequences [n, length, beside, hidden] (SequenceParallel::along), each to itself, before the projection. `rotary` is null for spatial attention.
  Tensor attend(const Tensor& x, const RotaryTable* rotary) const;
  /// The projection of what attended, [..., hidden].
  Tensor out(const Residual& residual, const Tensor& attended) const { return proj_.added_to(residual, attended); }

 private:
  int64_t heads_, head_size_;
  Linear qkv_, proj_;
  Tensor q_norm_, k_norm_;   // empty without QK normalisation
};

/// Attention of all tokens of a batch entry to its own caption; keys q_linear, kv_linear, proj.
class Stdit3CrossAttention {
 public:
  Stdit3CrossAttention(const Weights& weights, const Stdit3Config& config);
  /// Of a caption's tokens [1, all kept tokens, hidden].
  KeysAndValues of_text(const Tensor& caption) const;
  /// `keys`: those of each entry of x.
  Tensor operator()(const Residual& residual, const Tensor& x, const KeysAndValues& text, std::span<const KeyRange> keys) const;

 private:
  int64_t heads_, head_size_;
  Linear q_, kv_, proj_;
};

class Stdit3Block {
 public:
  Stdit3Block(const Weights& weights, const Stdit3Config& config, Axis axis, int index);

  /// One block along its axis. `time` [batch or frames, 6 hidden] is the time embedding; known frames have timestep 0's.
  Tensor operator()(Tensor x, const Tensor& time, const CaptionTokens& caption, const RotaryTable& rotary,
                    Run& run) const;

 private:
  Axis axis_;
  int index_;
  Branch attention_branch_, cross_branch_, mlp_branch_;
  Tensor scale_shift_table_;
  Stdit3Attention attention_;
  Stdit3CrossAttention cross_attention_;
  Mlp mlp_;
};

class Stdit3 {
 public:
  Stdit3(const Weights& weights, const Stdit3Config& config);

  const Stdit3Config& config() const { return config_; }
  /// The shape of x, [batch, time, space, hidden], for latents [batch, in_channels, time, height, width].
  Shape token_shape(const Shape& latents) const;

  /// y [batch, length, caption_channels]; mask [b, length] (b divides batch; empty: all tokens are kept). Done once a
  /// video: it depends on no timestep.
  CaptionTokens embed_caption(const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe = {}) const;
  /// The learned caption of guidance's unconditional half, [1, model_max_length, caption_channels].
  const Tensor& null_caption() const { return null_caption_; }

  /// latents [batch, in_channels, time, height, width] -> prediction [batch, out_channels, time, height, width].
  Tensor operator()(const Tensor& latents, const Stdit3Conditioning& conditioning, const CaptionTokens& caption,
                    Run& run) const;

 private:
  Stdit3Config config_;
  Convolution x_embedder_;
  ScalarEmbedder t_embedder_, fps_embedder_;
  Linear t_block_;
  Mlp y_proj_;
  Tensor null_caption_;
  std::vector<float> rotary_frequencies_;
  std::vector<Stdit3Block> spatial_blocks_, temporal_blocks_;
  Tensor final_table_;
  Linear final_linear_;

  Tensor embed_patches(const Tensor& latents) const;
  Tensor position_embedding(int64_t rows, int64_t columns, float height, float width) const;
  Tensor final_layer(const Tensor& x, const Tensor& t, const Tensor& t0, const std::vector<int64_t>& frame_mask,
                     const SequenceParallel& parallel) const;
  Tensor unpatchify(const Tensor& x, const Shape& latent_shape) const;
};

}  // namespace pyracast
