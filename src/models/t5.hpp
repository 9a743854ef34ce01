#pragma once
// The encoder of T5 and T5 v1.1 (Raffel et al., "Exploring the Limits of Transfer Learning …"; transformers' T5Stack).
#include <span>

#include "base/json.hpp"
#include "nn/layers.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// The published config.json's keys that matter, with the values of t5-v1_1-xxl.
struct T5Config {
  int64_t d_model = 4096, d_kv = 64, d_ff = 10240, num_layers = 24, num_heads = 64, vocab_size = 32128;
  int64_t relative_attention_num_buckets = 32, relative_attention_max_distance = 128;
  float layer_norm_epsilon = 1e-6f;
  bool gated_gelu = true;   ///< feed_forward_proj "gated-gelu"; false: "relu"

  static T5Config from_json(const Json& json, const std::string& where);
};

class T5Encoder {
 public:
  T5Encoder(const Weights& weights, const T5Config& config);

  const T5Config& config() const { return config_; }

  /// ids, mask [batch * length] -> [batch, length, d_model]. Positions with mask 0 are not attended to, and have
  /// outputs of their own.
  Tensor operator()(std::span<const int64_t> ids, std::span<const int64_t> mask, int64_t batch,
                    const Observer& observe = {}) const;

 private:
  struct Layer {
    Tensor attention_norm, feed_forward_norm;
    Linear q, k, v, o, wi_0, wi_1, wo;   // plain T5: wi_0 is its `wi`, and there is no wi_1
  };

  T5Config config_;
  Tensor embedding_, relative_bias_, final_norm_;
  std::vector<Layer> layers_;

  Tensor position_bias(int64_t length) const;
  /// Each up to its last linear, which adds it to the residual.
  Tensor attend(const Layer& layer, const Tensor& x, const Tensor& bias) const;
  Tensor feed_forward(const Layer& layer, const Tensor& x) const;
};

}  // namespace pyracast
