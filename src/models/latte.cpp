#include "models/latte.hpp"

#include <cassert>
#include <cmath>

namespace pyracast {

namespace {

constexpr float final_epsilon = 1e-6f;

constexpr float masked = -10000;   // added to the scores of tokens that do not count

}  // namespace

LatteConfig LatteConfig::from_json(const Json& json, const std::string& where) {
  LatteConfig c;
  c.in_channels = count_value_or(json, "in_channels", c.in_channels, where);
  c.out_channels = count_value_or(json, "out_channels", c.in_channels, where);
  c.patch_size = count_value_or(json, "patch_size", c.patch_size, where);
  c.heads = count_value_or(json, "num_attention_heads", 16, where);
  c.head_size = count_value_or(json, "attention_head_dim", 88, where);
  c.layers = count_value_or(json, "num_layers", 1, where);
  const bool listed = json.contains("sample_size") && json.at("sample_size").is_array();   // Open-Sora-Plan: [height, width]
  c.sample_size = listed ? value<std::vector<int64_t>>(json, "sample_size", where).at(0) : count_value_or(json, "sample_size", 64, where);
  c.caption_channels = count_value(json, "caption_channels", where);
  c.video_length = count_value_or(json, "video_length", 16, where);
  c.attention_bias = value_or(json, "attention_bias", false, where);
  c.norm_eps = float(value_or(json, "norm_eps", 1e-5, where));
  c.use_rope = value_or(json, "use_rope", false, where);
  if (value_or<std::string>(json, "_class_name", "", where) == "LatteT2V") {
    const int64_t usual = std::max<int64_t>(1, (c.video_length % 2 ? c.video_length - 1 : c.video_length) / 16);
    c.temporal_scale = float(value_or(json, "interpolation_scale_1d", double(usual), where));
  }
  require(!value_or(json, "norm_elementwise_affine", false, where), where, ": norm_elementwise_affine is true; only false is supported");
  const auto norm = value_or<std::string>(json, "norm_type", "ada_norm_single", where);
  require(norm == "ada_norm_single", where, ": norm_type is \"", norm, "\"; only ada_norm_single is supported");
  const auto activation = value_or<std::string>(json, "activation_fn", "gelu-approximate", where);
  require(activation == "gelu-approximate", where, ": activation_fn is \"", activation, "\"; only gelu-approximate is supported");
  require(c.hidden() % 4 == 0, where, ": num_attention_heads ", c.heads, " times attention_head_dim ", c.head_size, " is no multiple of 4");
  return c;
}

namespace {

/// Rows of queries and keys as rotate() turns them, those of values as stored.
std::vector<int64_t> rotated_order(const LatteConfig& config, int64_t coordinates) {
  const std::vector<int64_t> pairs = halves_paired(config.heads, config.head_size, coordinates);
  std::vector<int64_t> order = pairs;
  for (const int64_t row : pairs) order.push_back(config.hidden() + row);
  for (int64_t row = 0; row < config.hidden(); ++row) order.push_back(2 * config.hidden() + row);
  return order;
}

}  // namespace

LatteSelfAttention::LatteSelfAttention(const Weights& weights, const LatteConfig& config, int64_t coordinates)
    : heads_(config.heads), head_size_(config.head_size),
      qkv_(Linear::stacked(weights, {"to_q", "to_k", "to_v"}, config.hidden(), config.hidden(),
                           config.use_rope ? rotated_order(config, coordinates) : std::vector<int64_t>(), config.attention_bias)),
      out_(weights / "to_out" / 0, config.hidden(), config.hidden()) {}

Tensor LatteSelfAttention::qkv(const Tensor& x) const {
  Shape shape = x.shape();
  shape.back() = 3;
  shape.insert(shape.end(), {heads_, head_size_});
  return qkv_(x).reshape(shape);
}

Tensor LatteSelfAttention::attend(const Tensor& qkv, const Tensor& bias, const RotaryTable* rotary) const {
  const RotaryTable turn = rotary ? *rotary : RotaryTable();
  const float scale = 1 / std::sqrt(float(head_size_));
  if (bias.empty()) return packed_attention(qkv, {}, {}, 0, turn.cosines, turn.sines, scale);
  assert(qkv.dim(2) == 1);
  const int64_t n = qkv.dim(0), length = qkv.dim(1), heads = qkv.dim(4);
  const auto part = [&](int64_t i) { return slice(qkv, 3, i, i + 1).reshape({n, length, heads, head_size_}); };
  const auto turned = [&](const Tensor& x) { return rotary ? rotate(x, turn.cosines, turn.sines) : x; };
  return attention(turned(part(0)), turned(part(1)), part(2), scale, bias.reshape({n, 1, 1, length}));
}

LatteCrossAttention::LatteCrossAttention(const Weights& weights, const LatteConfig& config)
    : heads_(config.heads), head_size_(config.head_size), q_(weights / "to_q", config.hidden(), config.hidden(), config.attention_bias),
      k_(weights / "to_k", config.hidden(), config.hidden(), config.attention_bias),
      v_(weights / "to_v", config.hidden(), config.hidden(), config.attention_bias),
      out_(weights / "to_out" / 0, config.hidden(), config.hidden()) {}

Tensor LatteCrossAttention::operator()(const Residual& residual, const Tensor& x, const LatteCaption& caption, const KeysAndValues& text,
                                       const SequenceParallel& parallel) const {
  const int64_t entries = x.dim(0), batch = caption.tokens.dim(0), length = caption.tokens.dim(1), hidden = heads_ * head_size_;
  const Tensor q = q_(x).reshape({entries, -1, heads_, head_size_});
  const Tensor &k = text.keys, &v = text.values;
  const float scale = 1 / std::sqrt(float(head_size_));
  if (caption.bias.empty()) {
    std::vector<KeyRange> of_batch;
    for (int64_t b = 0; b < batch; ++b) of_batch.push_back({b * length, (b + 1) * length});
    const Shape all{1, batch * length, heads_, head_size_};
    return out_.added_to(residual, attention(q, k.reshape(all), v.reshape(all), scale, {}, parallel.of_entries(of_batch)).reshape(x.shape()));
  }
  const auto of_entries = [&](const Tensor& rows) {
    return parallel.of_entries(rows.reshape({batch, length * hidden})).reshape({entries, length, heads_, head_size_});
  };
  const Tensor bias = parallel.of_entries(caption.bias).reshape({entries, 1, 1, length});
  return out_.added_to(residual, attention(q, of_entries(k), of_entries(v), scale, bias).reshape(x.shape()));
}

LatteBlock::LatteBlock(const Weights& weights, const LatteConfig& config, Axis axis, int index)
    : axis_(axis), index_(index), epsilon_(config.norm_eps), scale_shift_table_(weights.tensor("scale_shift_table", {6, config.hidden()})),
      attention_(weights / "attn1", config, axis == Axis::space ? 2 : 1) {
  if (axis == Axis::space) cross_attention_.emplace(weights / "attn2", config);
  mlp_ = {Linear(weights / "ff" / "net" / 0 / "proj", config.hidden(), 4 * config.hidden()),
          Linear(weights / "ff" / "net" / 2, 4 * config.hidden(), config.hidden())};
}

Tensor LatteBlock::operator()(Tensor x, const Tensor& time, const LatteCaption& caption, const LatteAttentionInputs& inputs, Run& run) const {
  const bool spatial = axis_ == Axis::space;
  const auto [attention_modulation, mlp_modulation] = modulations(scale_shift_table_, time, epsilon_);
  const Observer observe = run.observe / concat(spatial ? "spatial_block_" : "temporal_block_", index_);
  const auto seen = [&](const char* name, Tensor value) {
    observe(name, value);
    return value;
  };

  const auto& rotary = spatial ? inputs.spatial_rotary : inputs.temporal_rotary;
  const auto self_attention = [&](const Tensor& rows) {
    const Tensor bias = spatial && !inputs.spatial_bias.empty() ? run.parallel.of_attended_frames(inputs.spatial_bias) : Tensor();
    const Tensor out = attention_.attend(attention_.qkv(rows), bias, rotary ? &*rotary : nullptr).reshape(rows.shape());
    observe("attn1", [&] { return one_by_one(attention_.out({}, out)); });
    return out;
  };

  x = run.residual({spatial ? Branch::spatial_attention : Branch::temporal_attention, index_}, x, attention_modulation,
                   [&](const Residual& residual, const Tensor& h) {
    return attention_.out(residual, run.parallel.along(axis_, h, self_attention));
  });
  if (spatial)
    x = run.residual({Branch::spatial_cross, index_}, x, [&](const Residual& residual, const Tensor& h) {
      const KeysAndValues& text = run.once("text", {Branch::spatial_cross, index_}, [&] { return cross_attention_->of_text(caption); });
      return seen("attn2", (*cross_attention_)(residual, h, caption, text, run.parallel));
    });
  x = run.residual({spatial ? Branch::spatial_mlp : Branch::temporal_mlp, index_}, x, mlp_modulation, [&](const Residual& residual, const Tensor& h) {
    return seen("ff", mlp_.added_to(residual, h));
  });
  return seen("out", x);
}

Latte::Latte(const Weights& weights, const LatteConfig& config) : config_(config) {
  const int64_t hidden = config.hidden(), p = config.patch_size;
  patches_ = Convolution(weights / "pos_embed" / "proj", config.in_channels, hidden, {.kernel = {1, p, p}, .stride = {1, p, p}}, 2);
  time_ = AdaLnSingle(weights / "adaln_single", hidden);
  caption_projection_ = {Linear(weights / "caption_projection" / "linear_1", config.caption_channels, hidden),
                         Linear(weights / "caption_projection" / "linear_2", hidden, hidden)};
  for (int i = 0; i < config.layers; ++i) {
    spatial_blocks_.emplace_back(weights.of_tokens() / "transformer_blocks" / i, config, Axis::space, i);
    temporal_blocks_.emplace_back(weights.of_tokens() / "temporal_transformer_blocks" / i, config, Axis::time, i);
  }
  final_table_ = weights.tensor("scale_shift_table", {2, hidden});
  final_linear_ = Linear(weights / "proj_out", hidden, p * p * config.out_channels);
  weights.ignore("caption_projection.y_embedding");   // left over in the published file
}

Shape Latte::token_shape(const Shape& latents) const {
  return {latents[0], latents[2], (latents[3] / config_.patch_size) * (latents[4] / config_.patch_size), config_.hidden()};
}

LatteCaption embed_caption(const Mlp& projection, const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe) {
  LatteCaption caption{to_activations(projection(y)), {}};
  observe("caption_projection", caption.tokens);
  if (mask.empty()) return caption;
  require(int64_t(mask.size()) == y.dim(0) * y.dim(1), "a caption mask of ", mask.size(), " values does not fit captions ", y.shape());
  std::vector<float> bias;
  for (const int64_t kept : mask) bias.push_back(kept ? 0.f : masked);
  caption.bias = Tensor(y.backend(), {y.dim(0), y.dim(1)}, bias);
  return caption;
}

LatteCaption Latte::embed_caption(const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe) const {
  return pyracast::embed_caption(caption_projection_, y, mask, observe);
}

// Columns first, then rows, scaled so that every grid spans that of `sample_size`.
Tensor Latte::position_table(int64_t rows, int64_t columns) const {
  const float base = float(config_.sample_size / config_.patch_size), scale = float(std::max<int64_t>(config_.sample_size / 64, 1));
  std::vector<float> table;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      append_sinusoid(table, float(column) / (float(columns) / base) / scale, config_.hidden() / 2);
      append_sinusoid(table, float(row) / (float(rows) / base) / scale, config_.hidden() / 2);
    }
  return Tensor(final_table_.backend(), {1, rows * columns, config_.hidden()}, table);
}

Tensor Latte::frame_table(int64_t frames) const {
  std::vector<float> table;
  for (int64_t frame = 0; frame < frames; ++frame) append_sinusoid(table, double(float(frame) / config_.temporal_scale), config_.hidden());
  return Tensor(final_table_.backend(), {frames, config_.hidden()}, table);
}

// Rotated positions are whole numbers: what the published code makes of a scaled one.
LatteAttentionInputs Latte::attention_inputs(const Shape& latents, const std::vector<float>& kept) const {
  const int64_t batch = latents[0], frames = latents[2], height = latents[3], width = latents[4], p = config_.patch_size;
  const int64_t rows = height / p, columns = width / p;
  LatteAttentionInputs inputs;
  if (!kept.empty()) inputs.spatial_bias = token_bias(final_table_.backend(), kept, batch * frames, height, width, p);
  if (!config_.use_rope) return inputs;
  const int64_t scale = std::max<int64_t>(config_.sample_size / 64, 1);
  std::vector<double> y, x, t;
  for (int64_t token = 0; token < rows * columns; ++token) {
    y.push_back(double(token / columns / scale));
    x.push_back(double(token % columns / scale));
  }
  for (int64_t frame = 0; frame < frames; ++frame) t.push_back(std::trunc(double(float(frame) / config_.temporal_scale)));
  inputs.spatial_rotary = rotary_table(final_table_.backend(), {y, x}, config_.head_size);
  inputs.temporal_rotary = rotary_table(final_table_.backend(), {t}, config_.head_size);
  return inputs;
}

Tensor Latte::operator()(const Tensor& latents, const std::vector<float>& timesteps, const LatteCaption& caption, Run& run,
                         const std::vector<float>& kept) const {
  require(latents.axes() == 5 && latents.dim(1) == config_.in_channels, "Latte: latents are ", latents.shape(), ", expected [batch, ",
          config_.in_channels, ", time, height, width]");
  const int64_t batch = latents.dim(0), frames = latents.dim(2), p = config_.patch_size, hidden = config_.hidden();
  require(frames == config_.video_length || frames == 1 || !config_.temporal_attentions, "Latte: ", frames,
          " latent frames; the model was trained for ", config_.video_length, " frames, or 1");
  require(int64_t(timesteps.size()) == batch && caption.tokens.dim(0) == batch, "Latte: ", timesteps.size(), " timesteps and ",
          caption.tokens.dim(0), " captions for ", batch, " latents");
  const Observer& observe = run.observe;

  const auto [embedded, time] = time_(latents.backend(), timesteps, observe);
  const Tensor patches = patches_(permute(latents, {0, 2, 3, 4, 1}));
  const int64_t rows = patches.dim(2), columns = patches.dim(3), space = rows * columns;
  const Tensor& positions = run.once("positions", [&] { return position_table(rows, columns); });
  Tensor x = patches.reshape({batch, frames, space, hidden}) + repeat(positions, 0, batch * frames).reshape({batch, frames, space, hidden});
  observe("pos_embed", x);
  const LatteAttentionInputs& inputs = run.once("attention inputs", [&] { return attention_inputs(latents.shape(), kept); });
  x = run.shard(x, {Branch::spatial_attention, 0});
  for (size_t i = 0; i < spatial_blocks_.size(); ++i) {
    x = spatial_blocks_[i](x, time, caption, inputs, run);
    if (!config_.temporal_attentions) continue;
    if (i == 0 && frames > 1) {
      const Tensor& of_frames = run.once("frames", [&] { return frame_table(frames); });
      const Tensor table = run.parallel.of_entries(repeat(of_frames, 0, batch));
      x = modulate(x, table, zeros(x.backend(), table.shape()));   // x + the table's row of each frame
    }
    x = temporal_blocks_[i](x, time, caption, inputs, run);
  }
  const auto final_part = [&](int64_t i) {
    return run.parallel.of_entries(repeat(slice(final_table_, 0, i, i + 1), 0, batch) + embedded);
  };
  x = final_linear_(modulate(layer_norm(x, final_epsilon), final_part(0), final_part(1)));
  const Tensor output = unpatchified(run.gather(x).reshape({batch, frames, rows, columns, -1}), p, config_.out_channels);
  observe("sample", output);
  return output;
}

}  // namespace pyracast
