#include "models/open_sora_t2v.hpp"

#include <algorithm>
#include <cmath>

namespace pyracast {

namespace {

constexpr float final_epsilon = 1e-6f;
constexpr int64_t patch = 2;

}  // namespace

OpenSoraT2vConfig OpenSoraT2vConfig::from_json(const Json& json, const std::string& where) {
  OpenSoraT2vConfig c;
  c.sizes = LatteConfig::from_json(json, where);
  c.sizes.use_rope = value_or(json, "use_rope", false, where);
  require(c.sizes.patch_size == patch && count_value_or(json, "patch_size_t", 1, where) == 1, where,
          ": patch_size is ", c.sizes.patch_size, "; only 2 with a patch_size_t of 1 is supported");
  for (const char* key : {"downsampler", "use_additional_conditions"})
    require(!json.contains(key) || json.at(key).is_null() || json.at(key) == Json(false), where, ": ", key, " is ",
            json.value(key, Json()).dump(), "; only null is supported");
  const auto size = value<std::vector<int64_t>>(json, "sample_size", where);
  require(size.size() == 2 && size[0] > 0 && size[1] > 0, where, ": sample_size is ", size, ", expected [height, width]");
  c.sample_height = size[0];
  c.sample_width = size[1];
  c.sample_frames = count_value(json, "sample_size_t", where);
  const double usual_time = c.sample_frames % 2 ? double((c.sample_frames - 1) / 16 + 1) : double(c.sample_frames) / 16;
  c.scale_time = value_or(json, "interpolation_scale_t", usual_time, where);
  c.scale_height = value_or(json, "interpolation_scale_h", double(size[0]) / 30, where);
  c.scale_width = value_or(json, "interpolation_scale_w", double(size[1]) / 40, where);
  return c;
}

OpenSoraT2vBlock::OpenSoraT2vBlock(const Weights& weights, const LatteConfig& config, int index)
    : index_(index), epsilon_(config.norm_eps), scale_shift_table_(weights.tensor("scale_shift_table", {6, config.hidden()})),
      attention_(weights / "attn1", config, 3), cross_attention_(weights / "attn2", config) {
  mlp_ = {Linear(weights / "ff" / "net" / 0 / "proj", config.hidden(), 4 * config.hidden()),
          Linear(weights / "ff" / "net" / 2, 4 * config.hidden(), config.hidden())};
}

Tensor OpenSoraT2vBlock::operator()(Tensor x, const Tensor& time, const LatteCaption& caption, const Tensor& bias, const RotaryTable* rotary,
                                    Run& run) const {
  const auto [attention_modulation, mlp_modulation] = modulations(scale_shift_table_, time, epsilon_);
  const Observer observe = run.observe / concat("block_", index_);
  const auto seen = [&](const char* name, Tensor value) {
    observe(name, value);
    return value;
  };
  x = run.residual({Branch::spatial_attention, index_}, x, attention_modulation, [&](const Residual& residual, const Tensor& h) {
    const auto attend = [&](const Tensor& qkv) {
      return attention_.attend(qkv, bias.empty() ? bias : run.parallel.of_attended_entries(bias), rotary);
    };
    return seen("attn1", attention_.out(residual, run.parallel.over_heads(attention_.qkv(h), attend)));
  });
  x = run.residual({Branch::spatial_cross, index_}, x, [&](const Residual& residual, const Tensor& h) {
    const KeysAndValues& text = run.once("text", {Branch::spatial_cross, index_}, [&] { return cross_attention_.of_text(caption); });
    return seen("attn2", cross_attention_(residual, h, caption, text, run.parallel));
  });
  x = run.residual({Branch::spatial_mlp, index_}, x, mlp_modulation, [&](const Residual& residual, const Tensor& h) {
    return seen("ff", mlp_.added_to(residual, h));
  });
  return seen("out", x);
}

OpenSoraT2v::OpenSoraT2v(const Weights& weights, const OpenSoraT2vConfig& config) : config_(config) {
  const LatteConfig& sizes = config.sizes;
  const int64_t hidden = sizes.hidden();
  patches_ = Convolution(weights / "pos_embed" / "proj", sizes.in_channels, hidden, {.kernel = {1, patch, patch}, .stride = {1, patch, patch}}, 2);
  time_ = AdaLnSingle(weights / "adaln_single", hidden);
  caption_projection_ = {Linear(weights / "caption_projection" / "linear_1", sizes.caption_channels, hidden),
                         Linear(weights / "caption_projection" / "linear_2", hidden, hidden)};
  for (int i = 0; i < sizes.layers; ++i) blocks_.emplace_back(weights.of_tokens() / "transformer_blocks" / i, sizes, i);
  final_table_ = weights.tensor("scale_shift_table", {2, hidden});
  final_linear_ = Linear(weights / "proj_out", hidden, patch * patch * sizes.out_channels);
}

Shape OpenSoraT2v::token_shape(const Shape& latents) const {
  return {latents[0], latents[2], (latents[3] / patch) * (latents[4] / patch), config_.sizes.hidden()};
}

LatteCaption OpenSoraT2v::embed_caption(const Tensor& y, const std::vector<int64_t>& mask, const Observer& observe) const {
  return pyracast::embed_caption(caption_projection_, y, mask, observe);
}

RotaryTable OpenSoraT2v::rotary(int64_t frames, int64_t rows, int64_t columns) const {
  std::vector<double> t, y, x;
  for (int64_t token = 0; token < frames * rows * columns; ++token) {
    t.push_back(double(token / (rows * columns)) / config_.scale_time);
    y.push_back(double(token / columns % rows) / config_.scale_height);
    x.push_back(double(token % columns) / config_.scale_width);
  }
  return rotary_table(final_table_.backend(), {t, y, x}, config_.sizes.head_size);
}

Tensor OpenSoraT2v::absolute_positions(int64_t frames, int64_t rows, int64_t columns) const {
  const int64_t hidden = config_.sizes.hidden();
  const float base_rows = float(config_.sample_height / patch), base_columns = float(config_.sample_width / patch);
  std::vector<float> of_space, of_time;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column) {
      append_sinusoid(of_space, float(column) / (float(columns) / base_columns) / float(config_.scale_width), hidden / 2);
      append_sinusoid(of_space, float(row) / (float(rows) / base_rows) / float(config_.scale_height), hidden / 2);
    }
  for (int64_t frame = 0; frame < frames; ++frame)
    for (int64_t token = 0; token < rows * columns; ++token)
      append_sinusoid(of_time, float(frame) / (float(frames) / float(config_.sample_frames)) / float(config_.scale_time), hidden);
  const Shape shape{1, frames, rows * columns, hidden};
  return repeat(Tensor(final_table_.backend(), {1, 1, rows * columns, hidden}, of_space), 1, frames).reshape(shape) +
         Tensor(final_table_.backend(), shape, of_time);
}

Tensor OpenSoraT2v::operator()(const Tensor& latents, const std::vector<float>& timesteps, const LatteCaption& caption, Run& run,
                               const std::vector<float>& kept) const {
  const LatteConfig& sizes = config_.sizes;
  require(latents.axes() == 5 && latents.dim(1) == sizes.in_channels, "OpenSoraT2V: latents are ", latents.shape(), ", expected [batch, ",
          sizes.in_channels, ", time, height, width]");
  const int64_t batch = latents.dim(0), frames = latents.dim(2), hidden = sizes.hidden();
  require(sizes.use_rope || frames == config_.sample_frames, "OpenSoraT2V: ", frames, " latent frames; this model's absolute positions are for ",
          config_.sample_frames);
  require(int64_t(timesteps.size()) == batch && caption.tokens.dim(0) == batch, "OpenSoraT2V: ", timesteps.size(), " timesteps and ",
          caption.tokens.dim(0), " captions for ", batch, " latents");
  const Observer& observe = run.observe;

  const auto [embedded, time] = time_(latents.backend(), timesteps, observe);
  const Tensor patches = patches_(permute(latents, {0, 2, 3, 4, 1}));
  const int64_t rows = patches.dim(2), columns = patches.dim(3);
  Tensor x = patches.reshape({batch, frames, rows * columns, hidden});
  const RotaryTable* turned = sizes.use_rope ? &run.once("rotary", [&] { return rotary(frames, rows, columns); }) : nullptr;
  if (!turned) x = x + repeat(run.once("positions", [&] { return absolute_positions(frames, rows, columns); }), 0, batch);
  observe("pos_embed", x);
  const Tensor& bias = run.once("token bias", [&] {
    if (std::count(kept.begin(), kept.end(), 0.f) == 0) return Tensor();
    return token_bias(x.backend(), kept, batch * frames, latents.dim(3), latents.dim(4), patch).reshape({batch, frames * rows * columns});
  });

  x = run.shard(x, {Branch::spatial_attention, 0});
  for (const OpenSoraT2vBlock& block : blocks_) x = block(x, time, caption, bias, turned, run);
  const auto final_part = [&](int64_t i) {
    return run.parallel.of_entries(repeat(slice(final_table_, 0, i, i + 1), 0, batch) + embedded);
  };
  x = final_linear_(modulate(layer_norm(x, final_epsilon), final_part(0), final_part(1)));
  const Tensor output = unpatchified(run.gather(x).reshape({batch, frames, rows, columns, -1}), patch, sizes.out_channels);
  observe("sample", output);
  return output;
}

}  // namespace pyracast
