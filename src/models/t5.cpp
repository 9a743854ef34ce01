#include "models/t5.hpp"

#include <cmath>
#include <limits>

namespace pyracast {

namespace {

/// Bucket of a relative position (key - query): one half of the buckets looks back, the other ahead; near distances
/// have a bucket each, far ones share them on a logarithmic scale.
int64_t bucket_of(int64_t relative, int64_t buckets, int64_t max_distance) {
  const int64_t half = buckets / 2, exact = half / 2, distance = std::abs(relative);
  const int64_t ahead = relative > 0 ? half : 0;
  if (distance < exact) return ahead + distance;
  const float scaled = std::log(float(distance) / float(exact)) / std::log(float(max_distance) / float(exact)) *
                       float(half - exact);
  return ahead + std::min(half - 1, exact + int64_t(scaled));
}

}  // namespace

T5Config T5Config::from_json(const Json& json, const std::string& where) {
  T5Config c;
  c.d_model = count_value(json, "d_model", where);
  c.d_kv = count_value(json, "d_kv", where);
  c.d_ff = count_value(json, "d_ff", where);
  c.num_layers = count_value(json, "num_layers", where);
  c.num_heads = count_value(json, "num_heads", where);
  c.vocab_size = count_value(json, "vocab_size", where);
  c.relative_attention_num_buckets = count_value_or(json, "relative_attention_num_buckets", 32, where);
  c.relative_attention_max_distance = count_value_or(json, "relative_attention_max_distance", 128, where);
  c.layer_norm_epsilon = value_or(json, "layer_norm_epsilon", 1e-6f, where);
  require(c.relative_attention_num_buckets >= 4 && c.relative_attention_max_distance > c.relative_attention_num_buckets / 4,
          where, ": \"relative_attention_num_buckets\" is ", c.relative_attention_num_buckets,
          " and \"relative_attention_max_distance\" is ", c.relative_attention_max_distance,
          ", expected at least 4 buckets and a distance of more than a fourth of them");
  const auto projection = value_or(json, "feed_forward_proj", std::string("relu"), where);
  require(projection == "relu" || projection == "gated-gelu", where, ": feed_forward_proj is \"", projection,
          "\", expected \"gated-gelu\" (T5 v1.1, mT5) or \"relu\" (T5)");
  c.gated_gelu = projection == "gated-gelu";
  return c;
}

T5Encoder::T5Encoder(const Weights& weights, const T5Config& c)
    : config_(c), embedding_(weights.table("shared.weight", {c.vocab_size, c.d_model})) {
  weights.ignore("encoder.embed_tokens.weight");   // a copy of shared.weight
  weights.ignore_all("decoder.");                  // of whole models, as mT5 is published
  weights.ignore("lm_head.weight");
  const Weights encoder = weights / "encoder";
  const int64_t inner = c.num_heads * c.d_kv;
  for (int64_t i = 0; i < c.num_layers; ++i) {
    const Weights attention = encoder / "block" / i / "layer" / 0, feed_forward = encoder / "block" / i / "layer" / 1;
    const Weights dense = feed_forward / "DenseReluDense";
    const auto linear = [](const Weights& at, int64_t in, int64_t out) { return Linear(at, in, out, false); };
    Layer layer;
    layer.attention_norm = attention.tensor("layer_norm.weight", {c.d_model});
    layer.q = linear(attention / "SelfAttention" / "q", c.d_model, inner);
    layer.k = linear(attention / "SelfAttention" / "k", c.d_model, inner);
    layer.v = linear(attention / "SelfAttention" / "v", c.d_model, inner);
    layer.o = linear(attention / "SelfAttention" / "o", inner, c.d_model);
    layer.feed_forward_norm = feed_forward.tensor("layer_norm.weight", {c.d_model});
    layer.wi_0 = linear(dense / (c.gated_gelu ? "wi_0" : "wi"), c.d_model, c.d_ff);
    if (c.gated_gelu) layer.wi_1 = linear(dense / "wi_1", c.d_model, c.d_ff);
    layer.wo = linear(dense / "wo", c.d_ff, c.d_model);
    layers_.push_back(std::move(layer));
  }
  const Weights first = encoder / "block" / 0 / "layer" / 0 / "SelfAttention";
  relative_bias_ = first.tensor("relative_attention_bias.weight", {c.relative_attention_num_buckets, c.num_heads});
  final_norm_ = encoder.tensor("final_layer_norm.weight", {c.d_model});
}

// [1, heads, length, length], the same in all layers
Tensor T5Encoder::position_bias(int64_t length) const {
  std::vector<int64_t> of_distance, buckets;   // the first: of the farthest key before a query on
  for (int64_t distance = 1 - length; distance < length; ++distance)
    of_distance.push_back(bucket_of(distance, config_.relative_attention_num_buckets, config_.relative_attention_max_distance));
  for (int64_t query = 0; query < length; ++query)
    buckets.insert(buckets.end(), of_distance.begin() + (length - 1 - query), of_distance.begin() + (2 * length - 1 - query));
  return permute(gather_rows(relative_bias_, buckets).reshape({1, length, length, config_.num_heads}), {0, 3, 1, 2});
}

Tensor T5Encoder::attend(const Layer& layer, const Tensor& x, const Tensor& bias) const {
  const auto heads = [&](const Linear& projection) {
    return projection(x).reshape({x.dim(0), x.dim(1), config_.num_heads, config_.d_kv});
  };
  const Tensor h = attention(heads(layer.q), heads(layer.k), heads(layer.v), 1, bias);   // not scaled: T5's own way
  return h.reshape({x.dim(0), x.dim(1), -1});
}

Tensor T5Encoder::feed_forward(const Layer& layer, const Tensor& x) const {
  if (!config_.gated_gelu) return layer.wi_0(x, Activation::relu);
  return layer.wi_0(x, Activation::gelu_tanh) * layer.wi_1(x);
}

Tensor T5Encoder::operator()(std::span<const int64_t> ids, std::span<const int64_t> mask, int64_t batch,
                             const Observer& observe) const {
  const int64_t length = int64_t(ids.size()) / batch;
  require(ids.size() == mask.size() && length * batch == int64_t(ids.size()), "T5: ", ids.size(), " ids and ",
          mask.size(), " mask values for ", batch, " texts");
  for (const int64_t id : ids)
    require(id >= 0 && id < config_.vocab_size, "T5: token id ", id, " is outside the vocabulary of ",
            config_.vocab_size, " (does the tokenizer belong to this text encoder?)");
  Tensor bias = position_bias(length);
  observe("position_bias", bias);
  std::vector<float> masked;
  for (const int64_t kept : mask) masked.push_back(kept ? 0 : std::numeric_limits<float>::lowest());
  Backend& backend = embedding_.backend();
  const Tensor key_mask = Tensor(backend, {batch, 1, length}, masked);
  // [batch, heads, length, length]
  bias = repeat(bias, 0, batch) + repeat(key_mask, 1, config_.num_heads * length)
                                      .reshape({batch, config_.num_heads, length, length});

  Tensor x = to_float32(gather_rows(embedding_, ids)).reshape({batch, length, config_.d_model});
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    x = layer.o.added_to(x, attend(layer, rms_norm(x, config_.layer_norm_epsilon, layer.attention_norm), bias));
    (observe / "block" / i)("after_attn", x);
    x = layer.wo.added_to(x, feed_forward(layer, rms_norm(x, config_.layer_norm_epsilon, layer.feed_forward_norm)));
    (observe / "block" / i)("out", x);
  }
  x = rms_norm(x, config_.layer_norm_epsilon, final_norm_);
  observe("last_hidden_state", x);
  return x;
}

}  // namespace pyracast
