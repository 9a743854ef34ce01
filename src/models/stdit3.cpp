#include "models/stdit3.hpp"

#include <algorithm>
#include <cmath>

namespace pyracast {

namespace {

constexpr float norm_epsilon = 1e-6f;

int64_t tokens_of(int64_t size, int64_t patch) { return (size + patch - 1) / patch; }

/// The time embedding of each run of rows: t's row b where the frame is generated, t0's where it is known. Without a
/// mask one run a batch entry, else one a frame.
Tensor by_frame(const Tensor& t, const Tensor& t0, const std::vector<int64_t>& frame_mask) {
  if (frame_mask.empty()) return t;
  const int64_t batch = t.dim(0), frames = int64_t(frame_mask.size()) / batch;
  std::vector<int64_t> rows;
  for (size_t i = 0; i < frame_mask.size(); ++i)
    rows.push_back(int64_t(i) / frames + (frame_mask[i] ? 0 : batch));
  return gather_rows(concatenate({t, t0}, 0), rows);
}

}  // namespace

Stdit3Config Stdit3Config::from_json(const Json& json, const std::string& where) {
  Stdit3Config c;
  c.input_sq_size = count_value_or(json, "input_sq_size", c.input_sq_size, where);
  c.in_channels = count_value_or(json, "in_channels", c.in_channels, where);
  const auto patch = value_or(json, "patch_size", std::vector<int64_t>{1, 2, 2}, where);
  require(patch.size() == 3 && patch[0] > 0 && patch[1] > 0 && patch[2] > 0, where, ": \"patch_size\" is ", patch,
          ", expected three positive numbers [time, height, width]");
  std::copy(patch.begin(), patch.end(), c.patch_size);
  c.hidden_size = count_value(json, "hidden_size", where);
  c.depth = count_value(json, "depth", where);
  c.num_heads = count_value(json, "num_heads", where);
  c.mlp_ratio = value_or(json, "mlp_ratio", c.mlp_ratio, where);
  require(c.mlp_ratio * double(c.hidden_size) >= 1, where, ": \"mlp_ratio\" is ", c.mlp_ratio, ", expected more than 0");
  c.pred_sigma = value_or(json, "pred_sigma", c.pred_sigma, where);
  c.caption_channels = count_value_or(json, "caption_channels", c.caption_channels, where);
  c.model_max_length = count_value_or(json, "model_max_length", c.model_max_length, where);
  c.qk_norm = value_or(json, "qk_norm", false, where);
  require(c.hidden_size % c.num_heads == 0 &&
              c.head_size() % 2 == 0 && c.hidden_size % 4 == 0,
          where, ": hidden_size ", c.hidden_size, " and num_heads ", c.num_heads,
          " do not fit: the hidden size must be a multiple of 4 and of the heads, with an even head size");
  return c;
}

Stdit3Attention::Stdit3Attention(const Weights& weights, const Stdit3Config& config)
    : heads_(config.num_heads), head_size_(config.head_size()),
      qkv_(weights / "qkv", config.hidden_size, 3 * config.hidden_size),
      proj_(weights / "proj", config.hidden_size, config.hidden_size) {
  if (!config.qk_norm) return;
  q_norm_ = weights.tensor("q_norm.weight", {head_size_});
  k_norm_ = weights.tensor("k_norm.weight", {head_size_});
}

Tensor Stdit3Attention::attend(const Tensor& x, const RotaryTable* rotary) const {
  const Tensor qkv = qkv_(x).reshape({x.dim(0), x.dim(1), x.dim(2), 3, heads_, head_size_});
  const RotaryTable turn = rotary ? *rotary : RotaryTable();
  return packed_attention(qkv, q_norm_, k_norm_, norm_epsilon, turn.cosines, turn.sines, 1 / std::sqrt(float(head_size_))).reshape(x.shape());
}

Stdit3CrossAttention::Stdit3CrossAttention(const Weights& weights, const Stdit3Config& config)
    : heads_(config.num_heads), head_size_(config.head_size()),
      q_(weights / "q_linear", config.hidden_size, config.hidden_size),
      kv_(weights / "kv_linear", config.hidden_size, 2 * config.hidden_size),
      proj_(weights / "proj", config.hidden_size, config.hidden_size) {}

KeysAndValues Stdit3CrossAttention::of_text(const Tensor& caption) const {
  const int64_t keys = caption.dim(1);
  const Tensor kv = kv_(caption).reshape({1, keys, 2, heads_, head_size_});
  const auto part = [&](int64_t i) { return slice(kv, 2, i, i + 1).reshape({1, keys, heads_, head_size_}); };
  return {part(0), part(1)};
}

Tensor Stdit3CrossAttention::operator()(const Residual& residual, const Tensor& x, const KeysAndValues& text, std::span<const KeyRange> keys) const {
  const Tensor q = q_(x).reshape({x.dim(0), x.dim(1) * x.dim(2), heads_, head_size_});
  const Tensor h = attention(q, text.keys, text.values, 1 / std::sqrt(float(head_size_)), {}, keys);
  return proj_.added_to(residual, h.reshape(x.shape()));
}

Stdit3Block::Stdit3Block(const Weights& weights, const Stdit3Config& config, Axis axis, int index)
    : axis_(axis), index_(index),
      attention_branch_(axis == Axis::space ? Branch::spatial_attention : Branch::temporal_attention),
      cross_branch_(axis == Axis::space ? Branch::spatial_cross : Branch::temporal_cross),
      mlp_branch_(axis == Axis::space ? Branch::spatial_mlp : Branch::temporal_mlp),
      scale_shift_table_(weights.tensor("scale_shift_table", {6, config.hidden_size})),
      attention_(weights / "attn", config), cross_attention_(weights / "cross_attn", config) {
  const int64_t inner = int64_t(double(config.hidden_size) * config.mlp_ratio);
  mlp_ = {Linear(weights / "mlp" / "fc1", config.hidden_size, inner),
          Linear(weights / "mlp" / "fc2", inner, config.hidden_size)};
}

Tensor Stdit3Block::operator()(Tensor x, const Tensor& time, const CaptionTokens& caption, const RotaryTable& rotary,
                               Run& run) const {
  const auto [attention_modulation, mlp_modulation] = modulations(scale_shift_table_, time, norm_epsilon);
  const Observer observe = run.observe / (axis_ == Axis::space ? "spatial_blocks" : "temporal_blocks") / index_;
  const auto seen = [&](const char* name, Tensor value) {
    observe(name, value);
    return value;
  };
  const auto self_attention = [&](const Tensor& rows) {
    observe("modulated", [&] { return one_by_one(rows); });
    const Tensor out = attention_.attend(rows, axis_ == Axis::time ? &rotary : nullptr);
    observe("attn", [&] { return one_by_one(attention_.out({}, out)); });
    return out;
  };

  x = run.residual({attention_branch_, index_}, x, attention_modulation, [&](const Residual& residual, const Tensor& h) {
    return attention_.out(residual, run.parallel.along(axis_, h, self_attention));
  });
  x = run.residual({cross_branch_, index_}, x, [&](const Residual& residual, const Tensor& h) {
    const KeysAndValues& text = run.once("text", {cross_branch_, index_}, [&] { return cross_attention_.of_text(caption.tokens); });
    return seen("cross_attn", cross_attention_(residual, h, text, run.parallel.of_entries(caption.keys)));
  });
  x = run.residual({mlp_branch_, index_}, x, mlp_modulation, [&](const Residual& residual, const Tensor& h) {
    return seen("mlp", mlp_.added_to(residual, h));
  });
  return seen("out", x);
}

Stdit3::Stdit3(const Weights& weights, const Stdit3Config& config) : config_(config) {
  const int64_t hidden = config.hidden_size;
  const auto* patch = config.patch_size;
  x_embedder_ = Convolution(weights / "x_embedder" / "proj", config.in_channels, hidden,
                            {.kernel = {patch[0], patch[1], patch[2]}, .stride = {patch[0], patch[1], patch[2]}}, 3);
  t_embedder_ = ScalarEmbedder(weights / "t_embedder", hidden);
  fps_embedder_ = ScalarEmbedder(weights / "fps_embedder", hidden);
  t_block_ = Linear(weights / "t_block" / 1, hidden, 6 * hidden);
  y_proj_ = {Linear(weights / "y_embedder" / "y_proj" / "fc1", config.caption_channels, hidden),
             Linear(weights / "y_embedder" / "y_proj" / "fc2", hidden, hidden)};
  null_caption_ = weights.tensor("y_embedder.y_embedding", {config.model_max_length, config.caption_channels});
  if (!null_caption_.empty()) null_caption_ = null_caption_.reshape({1, config.model_max_length, config.caption_channels});
  rotary_frequencies_ = weights.numbers("rope.freqs", {config.head_size() / 2});
  for (int i = 0; i < config.depth; ++i) {
    spatial_blocks_.emplace_back(weights.of_tokens() / "spatial_blocks" / i, config, Axis::space, i);
    temporal_blocks_.emplace_back(weights.of_tokens() / "temporal_blocks" / i, config, Axis::time, i);
  }
  final_table_ = weights.tensor("final_layer.scale_shift_table", {2, hidden});
  final_linear_ = Linear(weights / "final_layer" / "linear", hidden, config.patch_volume() * config.out_channels());
}

CaptionTokens Stdit3::embed_caption(const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe) const {
  const int64_t batch = y.dim(0), length = y.dim(1), masked = int64_t(mask.size()) / length;
  require(mask.empty() || (masked > 0 && masked * length == int64_t(mask.size()) && batch % masked == 0),
          "a caption mask of ", mask.size(), " values does not fit captions ", y.shape());
  const Tensor embedded = to_activations(y_proj_(y));
  observe("y_embedder", embedded.reshape({batch, 1, length, -1}));
  CaptionTokens caption;
  std::vector<int64_t> kept;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t begin = int64_t(kept.size());
    for (int64_t i = 0; i < length; ++i)
      if (mask.empty() || mask[size_t(b % masked * length + i)]) kept.push_back(b * length + i);
    caption.keys.push_back({begin, int64_t(kept.size())});
  }
  caption.tokens = gather_rows(embedded.reshape({batch * length, -1}), kept).reshape({1, int64_t(kept.size()), -1});
  observe("y_packed", caption.tokens);
  return caption;
}

Shape Stdit3::token_shape(const Shape& latents) const {
  const auto tokens = [&](int axis) { return tokens_of(latents[size_t(axis) + 2], config_.patch_size[axis]); };
  return {latents[0], tokens(0), tokens(1) * tokens(2), config_.hidden_size};
}

Tensor Stdit3::embed_patches(const Tensor& latents) const {
  Tensor x = permute(latents, {0, 2, 3, 4, 1});   // channels last
  for (int axis = 0; axis < 3; ++axis) {
    const int64_t patch = config_.patch_size[axis], size = x.dim(axis + 1);
    x = pad(x, axis + 1, 0, tokens_of(size, patch) * patch - size);
  }
  return x_embedder_(x);
}

// sin and cos of the column, then of the row, scaled so that position i of `rows` rows means the same place of the
// picture at every resolution.
Tensor Stdit3::position_embedding(int64_t rows, int64_t columns, float height, float width) const {
  const float base = float(std::nearbyint(std::sqrt(double(rows * columns))));
  const float scale = float(std::sqrt(double(height) * double(width)) / double(config_.input_sq_size));
  const int64_t quarter = config_.hidden_size / 4;
  std::vector<float> table;
  const auto append = [&](float position) {
    const auto angle = [&](int64_t k) { return position * (1 / std::pow(10000.f, float(k) / float(quarter))); };
    for (int64_t k = 0; k < quarter; ++k) table.push_back(std::sin(angle(k)));
    for (int64_t k = 0; k < quarter; ++k) table.push_back(std::cos(angle(k)));
  };
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      append(float(column) / scale * base / float(columns));
      append(float(row) / scale * base / float(rows));
    }
  return Tensor(null_caption_.backend(), {1, rows * columns, config_.hidden_size}, table);
}

Tensor Stdit3::operator()(const Tensor& latents, const Stdit3Conditioning& conditioning, const CaptionTokens& caption,
                          Run& run) const {
  const int64_t batch = latents.dim(0), hidden = config_.hidden_size;
  require(latents.axes() == 5 && latents.dim(1) == config_.in_channels, "STDiT3: latents are ", latents.shape(),
          ", expected [batch, ", config_.in_channels, ", time, height, width]");
  require(int64_t(conditioning.timesteps.size()) == batch && int64_t(conditioning.fps.size()) == batch &&
              int64_t(caption.keys.size()) == batch,
          "STDiT3: ", conditioning.timesteps.size(), " timesteps, ", conditioning.fps.size(), " frame rates and ",
          caption.keys.size(), " captions for ", batch, " latents");
  const Observer& observe = run.observe;

  const Tensor patches = embed_patches(latents);
  const int64_t time = patches.dim(1), rows = patches.dim(2), columns = patches.dim(3), space = rows * columns;
  require(conditioning.frame_mask.empty() || int64_t(conditioning.frame_mask.size()) == batch * time,
          "STDiT3: a frame mask of ", conditioning.frame_mask.size(), " values for ", batch, " x ", time, " frames");
  observe("x_embedder", patches.reshape({batch, time * space, hidden}));
  const Tensor& positions = run.once("positions", [&] { return position_embedding(rows, columns, conditioning.height, conditioning.width); });
  observe("pos_emb", positions);

  const Tensor t_embedded = t_embedder_(conditioning.timesteps), fps = fps_embedder_(conditioning.fps);
  observe("t_embedder", t_embedded);
  observe("fps_embedder", fps);
  const Tensor t = t_embedded + fps;
  observe("t", t);
  const Tensor t_mlp = t_block_(activate(t, Activation::silu));
  Tensor t0, t0_mlp;
  if (!conditioning.frame_mask.empty()) {
    t0 = t_embedder_(std::vector<float>(size_t(batch), 0)) + fps;
    observe("t0", t0);
    t0_mlp = t_block_(activate(t0, Activation::silu));
  }
  observe("t_mlp", t_mlp);
  const Tensor time_embedding = by_frame(t_mlp, t0_mlp, conditioning.frame_mask);

  Tensor x = patches.reshape({batch, time, space, hidden}) +
             repeat(positions, 0, batch * time).reshape({batch, time, space, hidden});
  observe("x_with_pos", x);
  x = run.shard(x, {Branch::spatial_attention, 0});
  const RotaryTable& rotary = run.once("rotary", [&] { return rotary_table(latents.backend(), time, rotary_frequencies_); });
  for (size_t i = 0; i < spatial_blocks_.size(); ++i) {
    x = spatial_blocks_[i](x, time_embedding, caption, rotary, run);
    x = temporal_blocks_[i](x, time_embedding, caption, rotary, run);
  }
  x = final_layer(x, t, t0, conditioning.frame_mask, run.parallel);
  observe("final_layer", x);
  x = run.gather(x);
  const Tensor output = unpatchify(x.reshape({batch, time, rows, columns, -1}), latents.shape());
  observe("output", output);
  return output;
}

// Known frames are normalised and modulated a second time, on top of the first: that is what the published code does.
Tensor Stdit3::final_layer(const Tensor& x, const Tensor& t, const Tensor& t0,
                           const std::vector<int64_t>& frame_mask, const SequenceParallel& parallel) const {
  const auto modulated = [&](const Tensor& h, const Tensor& time) {
    const auto part = [&](int64_t i) {
      return parallel.of_entries(repeat(slice(final_table_, 0, i, i + 1), 0, time.dim(0)) + time);
    };
    return modulate(layer_norm(h, norm_epsilon), part(0), part(1));
  };
  Tensor h = modulated(x, t);
  if (std::count(frame_mask.begin(), frame_mask.end(), 0) > 0) {
    std::vector<float> generated, known;
    for (const int64_t kept : frame_mask)
      for (int64_t c = 0; c < config_.hidden_size; ++c) {
        generated.push_back(kept ? 1 : 0);
        known.push_back(kept ? 0 : 1);
      }
    const Shape shape{int64_t(frame_mask.size()), config_.hidden_size};
    const auto of_entries = [&](const std::vector<float>& values) {
      return parallel.of_entries(Tensor(x.backend(), shape, values));
    };
    h = gate(h, of_entries(generated)) + gate(modulated(h, t0), of_entries(known));
  }
  return final_linear_(h);
}

// x [batch, time, rows, columns, (patch time, patch height, patch width, channel)] -> [batch, channels, T, H, W],
// without what was padded.
Tensor Stdit3::unpatchify(const Tensor& x, const Shape& latent_shape) const {
  const int64_t *p = config_.patch_size, batch = x.dim(0), time = x.dim(1), rows = x.dim(2), columns = x.dim(3);
  const Tensor split = x.reshape({batch, time, rows, columns, p[0], p[1], p[2], config_.out_channels()});
  Tensor out = permute(split, {0, 7, 1, 4, 2, 5, 3, 6})
                   .reshape({batch, config_.out_channels(), time * p[0], rows * p[1], columns * p[2]});
  for (int axis = 2; axis < 5; ++axis)
    if (out.dim(axis) != latent_shape[size_t(axis)]) out = slice(out, axis, 0, latent_shape[size_t(axis)]);
  return out;
}

}  // namespace pyracast
