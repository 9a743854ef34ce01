#include "models/temporal_vae.hpp"

#include <algorithm>

namespace pyracast {

namespace {

constexpr float norm_epsilon = 1e-5f;

void show(const Observer& observe, const char* name, const Tensor& x) {
  if (observe) observe(name, permute(x, {0, 4, 1, 2, 3}));
}

/// A cubic kernel padded all around in space and only in front in time; a longer stride in time pads that much less.
Convolution causal(const Weights& weights, int64_t in, int64_t out, int64_t kernel, bool has_bias = true,
                   int64_t time_stride = 1) {
  const int64_t half = kernel / 2;
  return Convolution(weights / "conv", in, out,
                     {.kernel = {kernel, kernel, kernel},
                      .stride = {time_stride, 1, 1},
                      .pad_before = {kernel - time_stride, half, half},
                      .pad_after = {0, half, half}},
                     3, has_bias);
}

std::vector<TemporalResBlock> blocks(const Weights& weights, const TemporalVaeConfig& config, int64_t in, int64_t out) {
  std::vector<TemporalResBlock> row;
  for (int64_t i = 0; i < config.num_res_blocks; ++i) row.emplace_back(weights / i, config, i ? out : in, out);
  return row;
}

std::vector<TemporalLevel> encoder_levels(const Weights& weights, const TemporalVaeConfig& config) {
  std::vector<TemporalLevel> levels(size_t(config.levels()));
  for (int64_t i = 0; i < config.levels(); ++i) {
    const int64_t in = i ? config.width(i - 1) : config.filters, out = config.width(i);
    TemporalLevel& level = levels[size_t(i)];
    level.blocks = blocks(weights / "block_res_blocks" / i, config, in, out);
    if (i + 1 < config.levels() && config.temporal_downsample[size_t(i)])
      level.resample = causal(weights / "conv_blocks" / i, out, out, 3, true, 2);
  }
  return levels;
}

std::vector<TemporalLevel> decoder_levels(const Weights& weights, const TemporalVaeConfig& config) {
  std::vector<TemporalLevel> levels(size_t(config.levels()));
  for (int64_t i = config.levels() - 1; i >= 0; --i) {
    const int64_t in = config.width(std::min(i + 1, config.levels() - 1)), out = config.width(i);
    TemporalLevel& level = levels[size_t(i)];
    level.blocks = blocks(weights / "block_res_blocks" / i, config, in, out);
    if (i > 0 && config.temporal_downsample[size_t(i - 1)])
      level.resample = causal(weights / "conv_blocks" / (i - 1), out, 2 * out, 3);
  }
  return levels;
}

/// Channel 2 c + s of frame t becomes channel c of frame 2 t + s.
Tensor depth_to_time(const Tensor& x) {
  const int64_t batch = x.dim(0), time = x.dim(1), height = x.dim(2), width = x.dim(3), channels = x.dim(4) / 2;
  return permute(x.reshape({batch, time, height, width, channels, 2}), {0, 1, 5, 2, 3, 4})
      .reshape({batch, 2 * time, height, width, channels});
}

}  // namespace

int64_t TemporalVaeConfig::time_factor() const {
  return int64_t(1) << std::count(temporal_downsample.begin(), temporal_downsample.end(), true);
}

TemporalVaeConfig TemporalVaeConfig::from_json(const Json& json, const std::string& where) {
  TemporalVaeConfig c;
  c.in_out_channels = value_or(json, "in_out_channels", c.in_out_channels, where);
  c.latent_embed_dim = value_or(json, "latent_embed_dim", c.latent_embed_dim, where);
  c.embed_dim = value_or(json, "embed_dim", c.embed_dim, where);
  c.filters = value_or(json, "filters", c.filters, where);
  c.num_res_blocks = value_or(json, "num_res_blocks", c.num_res_blocks, where);
  c.channel_multipliers = value_or(json, "channel_multipliers", c.channel_multipliers, where);
  c.temporal_downsample = value_or(json, "temporal_downsample", c.temporal_downsample, where);
  c.num_groups = value_or(json, "num_groups", c.num_groups, where);
  require(c.in_out_channels > 0 && c.latent_embed_dim > 0 && c.embed_dim > 0 && c.filters > 0 && c.num_res_blocks > 0 &&
              c.num_groups > 0 && !c.channel_multipliers.empty(),
          where, ": in_out_channels, latent_embed_dim, embed_dim, filters, num_res_blocks, num_groups and the list ",
          "channel_multipliers must all be positive");
  require(c.temporal_downsample.size() + 1 == c.channel_multipliers.size(), where, ": \"temporal_downsample\" has ",
          c.temporal_downsample.size(), " entries for ", c.channel_multipliers.size(),
          " channel_multipliers, expected one fewer");
  for (int64_t level = 0; level < c.levels(); ++level)
    require(c.width(level) > 0 && c.width(level) % c.num_groups == 0 && c.filters % c.num_groups == 0, where,
            ": filters ", c.filters, " and channel_multipliers ", c.channel_multipliers,
            " give widths that are not multiples of num_groups ", c.num_groups);
  const auto activation = value_or(json, "activation_fn", std::string("swish"), where);
  require(activation == "swish", where, ": \"activation_fn\" is ", activation, ", this network knows only swish");
  return c;
}

TemporalResBlock::TemporalResBlock(const Weights& weights, const TemporalVaeConfig& config, int64_t in, int64_t out)
    : norm1_(weights / "norm1", in, config.num_groups, norm_epsilon),
      norm2_(weights / "norm2", out, config.num_groups, norm_epsilon),
      conv1_(causal(weights / "conv1", in, out, 3, false)), conv2_(causal(weights / "conv2", out, out, 3, false)) {
  if (in != out) shortcut_ = causal(weights / "conv3", in, out, 1, false);
}

Tensor TemporalResBlock::operator()(const Tensor& x) const {
  Tensor h = norm1_(x, Activation::silu);
  h = conv1_(h);
  h = norm2_(h, Activation::silu);
  return conv2_.added_to(shortcut_ ? (*shortcut_)(x) : x, h);
}

TemporalEncoder::TemporalEncoder(const Weights& weights, const TemporalVaeConfig& config)
    : conv_in_(causal(weights / "conv_in", config.in_out_channels, config.filters, 3, false)),
      levels_(encoder_levels(weights, config)) {
  const int64_t width = config.width(config.levels() - 1);
  res_blocks_ = blocks(weights / "res_blocks", config, width, width);
  norm1_ = GroupNorm(weights / "norm1", width, config.num_groups, norm_epsilon);
  conv2_ = causal(weights / "conv2", width, 2 * config.latent_embed_dim, 1);
}

Tensor TemporalEncoder::operator()(const Tensor& x, const Observer& observe) const {
  Tensor h = conv_in_(x);
  show(observe, "conv_in", h);
  for (size_t i = 0; i < levels_.size(); ++i) {
    for (const TemporalResBlock& block : levels_[i].blocks) h = block(h);
    show(observe, concat("block_res_blocks.", i).c_str(), h);
    if (levels_[i].resample) h = (*levels_[i].resample)(h);
  }
  for (const TemporalResBlock& block : res_blocks_) h = block(h);
  if (observe) show(observe, "norm1", norm1_(h));
  h = norm1_(h, Activation::silu);
  return conv2_(h);
}

TemporalDecoder::TemporalDecoder(const Weights& weights, const TemporalVaeConfig& config) {
  const int64_t width = config.width(config.levels() - 1);
  conv1_ = causal(weights / "conv1", config.latent_embed_dim, width, 3);
  res_blocks_ = blocks(weights / "res_blocks", config, width, width);
  levels_ = decoder_levels(weights, config);
  norm1_ = GroupNorm(weights / "norm1", config.width(0), config.num_groups, norm_epsilon);
  conv_out_ = causal(weights / "conv_out", config.width(0), config.in_out_channels, 3);
}

Tensor TemporalDecoder::operator()(const Tensor& z, const Observer& observe) const {
  Tensor h = conv1_(z);
  show(observe, "conv1", h);
  for (const TemporalResBlock& block : res_blocks_) h = block(h);
  for (size_t i = levels_.size(); i-- > 0;) {
    for (const TemporalResBlock& block : levels_[i].blocks) h = block(h);
    show(observe, concat("block_res_blocks.", i).c_str(), h);
    if (i == 0) break;
    if (levels_[i].resample) h = (*levels_[i].resample)(h);
    show(observe, concat("conv_blocks.", i - 1).c_str(), h);
    if (levels_[i].resample) h = depth_to_time(h);
  }
  if (observe) show(observe, "norm1", norm1_(h));
  h = norm1_(h, Activation::silu);
  return conv_out_(h);
}

TemporalVae::TemporalVae(const Weights& weights, const TemporalVaeConfig& config)
    : config_(config), encoder_(weights / "encoder", config),
      quant_conv_(causal(weights / "quant_conv", 2 * config.latent_embed_dim, 2 * config.embed_dim, 1)),
      post_quant_conv_(causal(weights / "post_quant_conv", config.embed_dim, config.latent_embed_dim, 1)),
      decoder_(weights / "decoder", config) {}

Tensor TemporalVae::encode(const Tensor& x, const Observer& observe) const {
  require(x.axes() == 5 && x.dim(4) == config_.in_out_channels, "temporal VAE: the frames are ", x.shape(),
          ", expected [batch, frames, height, width, ", config_.in_out_channels, "]");
  const int64_t missing = config_.latent_frames(x.dim(1)) * config_.time_factor() - x.dim(1);
  return quant_conv_(encoder_(pad(x, 1, missing, 0), observe));
}

Tensor TemporalVae::decode(const Tensor& z, int64_t frames, const Observer& observe) const {
  require(z.axes() == 5 && z.dim(4) == config_.embed_dim && frames > 0 && z.dim(1) == config_.latent_frames(frames),
          "temporal VAE: the latents are ", z.shape(), ", expected [batch, ", config_.latent_frames(frames),
          ", height, width, ", config_.embed_dim, "] for ", frames, " frames");
  const Tensor h = post_quant_conv_(to_activations(z));
  show(observe, "post_quant_conv", h);
  const Tensor decoded = to_float32(decoder_(h, observe));
  return slice(decoded, 1, decoded.dim(1) - frames, decoded.dim(1));   // the encoder's padding stood in front
}

}  // namespace pyracast
