#pragma once
// Latte-1's transformer (Ma et al., arXiv 2401.03048; diffusers' LatteTransformer3DModel) and Open-Sora-Plan v1.1's, which
// follows it (LatteT2V): pairs of a spatial and a temporal block over tokens x [batch, time, space, channels].
#include "base/json.hpp"
#include "models/ada_ln_single.hpp"
#include "models/run.hpp"
#include "nn/layers.hpp"

namespace pyracast {

/// The published config.json's keys that matter in inference, with the published model's values.
struct LatteConfig {
  int64_t in_channels = 4, out_channels = 8;
  int64_t patch_size = 2;
  int64_t heads = 16, head_size = 72, layers = 28;
  int64_t sample_size = 64;        ///< of the latents that positions were trained on
  int64_t caption_channels = 4096;
  int64_t video_length = 16;       ///< latent frames; 1 is possible as well
  bool attention_bias = true;
  float norm_eps = 1e-6f;          ///< of the blocks
  bool temporal_attentions = true; ///< false: temporal blocks are left out
  float temporal_scale = 1;        ///< positions of frames are divided by it
  bool use_rope = false;           ///< queries and keys of self attention are rotated as well

  int64_t hidden() const { return heads * head_size; }
  /// Throws Error naming `where` and the key on a value that cannot be.
  static LatteConfig from_json(const Json& json, const std::string& where);
};

/// A caption as the cross attentions see it.
struct LatteCaption {
  Tensor tokens;   ///< [batch, length, hidden]
  Tensor bias;     ///< [batch, length] added to the attention's scores; empty: none
};

/// y [batch, length, channels] through the projection; mask [batch * length], 1 for tokens that count (empty: all do).
LatteCaption embed_caption(const Mlp& projection, const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe);

/// Self attention with diffusers' key names: to_q, to_k, to_v, to_out.0, without normalisation of queries and keys.
class LatteSelfAttention {
 public:
  /// `coordinates`: of a token in a rotary embedding, if there is one.
  LatteSelfAttention(const Weights& weights, const LatteConfig& config, int64_t coordinates);
  /// x [..., hidden] -> queries, keys and values, [..., 3, heads, size]; channels of queries and keys stand as rotate() turns them.
  Tensor qkv(const Tensor& x) const;
  /// Such sequences [n, length, beside, 3, some heads, size] to themselves -> [n, length, beside, some heads, size] (SequenceParallel::along).
  /// `bias` (empty: none) [n, length], where beside is 1, is added to the scores of each key; `rotary` may be null.
  Tensor attend(const Tensor& qkv, const Tensor& bias, const RotaryTable* rotary) const;
  /// The projection of what attended, [..., hidden].
  Tensor out(const Residual& residual, const Tensor& attended) const { return out_.added_to(residual, attended); }

 private:
  int64_t heads_, head_size_;
  Linear qkv_, out_;
};

/// Attention to the caption, with the same names.
class LatteCrossAttention {
 public:
  LatteCrossAttention(const Weights& weights, const LatteConfig& config);
  /// Of a caption's tokens, [batch, length, hidden] each.
  KeysAndValues of_text(const LatteCaption& caption) const { return {k_(caption.tokens), v_(caption.tokens)}; }
  /// x [entries, …, hidden] to the caption of its entry.
  Tensor operator()(const Residual& residual, const Tensor& x, const LatteCaption& caption, const KeysAndValues& text,
                    const SequenceParallel& parallel) const;

 private:
  int64_t heads_, head_size_;
  Linear q_, k_, v_, out_;
};

/// What the self attentions of all blocks are given besides tokens; empty where there is none.
struct LatteAttentionInputs {
  Tensor spatial_bias;   ///< [batch * frames, space]
  std::optional<RotaryTable> spatial_rotary, temporal_rotary;
};

class LatteBlock {
 public:
  /// A temporal block has no cross attention.
  LatteBlock(const Weights& weights, const LatteConfig& config, Axis axis, int index);
  /// `time` [batch, 6 hidden].
  Tensor operator()(Tensor x, const Tensor& time, const LatteCaption& caption, const LatteAttentionInputs& inputs, Run& run) const;

 private:
  Axis axis_;
  int index_;
  float epsilon_;
  Tensor scale_shift_table_;
  LatteSelfAttention attention_;
  std::optional<LatteCrossAttention> cross_attention_;
  Mlp mlp_;
};

class Latte {
 public:
  Latte(const Weights& weights, const LatteConfig& config);

  const LatteConfig& config() const { return config_; }
  /// The shape of x for latents [batch, in_channels, time, height, width].
  Shape token_shape(const Shape& latents) const;

  /// y [batch, length, caption_channels]; mask [batch * length], 1 for tokens that count (empty: all do). Done once a video.
  LatteCaption embed_caption(const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe = {}) const;

  /// latents [batch, in_channels, time, height, width] -> prediction [batch, out_channels, time, height, width]; rows and
  /// columns beyond the last whole patch are left out. Throws Error on another number of frames than the config's, or 1.
  /// `kept` (empty: all) [batch * time * height * width]: 0 where latents are padding; a token counts where one of its latents does.
  Tensor operator()(const Tensor& latents, const std::vector<float>& timesteps, const LatteCaption& caption, Run& run,
                    const std::vector<float>& kept = {}) const;

 private:
  LatteConfig config_;
  Convolution patches_;
  AdaLnSingle time_;
  Mlp caption_projection_;
  std::vector<LatteBlock> spatial_blocks_, temporal_blocks_;
  Tensor final_table_;
  Linear final_linear_;

  LatteAttentionInputs attention_inputs(const Shape& latents, const std::vector<float>& kept) const;
  Tensor position_table(int64_t rows, int64_t columns) const;
  Tensor frame_table(int64_t frames) const;
};

}  // namespace pyracast
