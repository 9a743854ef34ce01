#include "models/autoencoder_kl.hpp"

#include <algorithm>
#include <cmath>

namespace pyracast {

namespace {

constexpr float norm_epsilon = 1e-6f;

void show(const Observer& observe, const char* name, const Tensor& x) {
  if (observe) observe(name, to_planes(x));
}

/// Throws unless the key is absent or has the one value this network knows.
void require_known(const Json& json, const char* key, const Json& known, const std::string& where) {
  const Json found = value_or(json, key, known, where);
  require(found == known, where, ": \"", key, "\" is ", found.dump(), ", this network knows only ", known.dump());
}

void require_block_types(const Json& json, const char* key, const char* known, const std::string& where) {
  for (const auto& type : value_or(json, key, std::vector<std::string>(), where))
    require(type == known, where, ": \"", key, "\" names ", type, ", this network knows only ", known);
}

/// The stride is 2 and zeros stand only behind the last row and column.
ConvolutionGeometry halving() { return {.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .pad_after = {0, 1, 1}}; }

Convolution conv_3x3(const Weights& weights, int64_t in, int64_t out) {
  return Convolution(weights, in, out, same_2d(3), 2);
}

Convolution conv_1x1(const Weights& weights, int64_t in, int64_t out) {
  return Convolution(weights, in, out, same_2d(1), 2);
}

std::vector<KlResnet> resnets(const Weights& weights, const AutoencoderKlConfig& config, int64_t count, int64_t in,
                              int64_t out) {
  std::vector<KlResnet> row;
  for (int64_t i = 0; i < count; ++i) row.emplace_back(weights / "resnets" / i, config, i ? out : in, out);
  return row;
}

std::vector<KlLevel> down_blocks(const Weights& weights, const AutoencoderKlConfig& config) {
  const std::vector<int64_t>& widths = config.block_out_channels;
  std::vector<KlLevel> levels(widths.size());
  for (size_t i = 0; i < widths.size(); ++i) {
    const Weights block = weights / "down_blocks" / i;
    levels[i].resnets = resnets(block, config, config.layers_per_block, widths[i ? i - 1 : 0], widths[i]);
    if (i + 1 < widths.size())
      levels[i].resample = Convolution(block / "downsamplers" / 0 / "conv", widths[i], widths[i], halving(), 2);
  }
  return levels;
}

std::vector<KlLevel> up_blocks(const Weights& weights, const AutoencoderKlConfig& config) {
  const std::vector<int64_t> widths(config.block_out_channels.rbegin(), config.block_out_channels.rend());
  std::vector<KlLevel> levels(widths.size());
  for (size_t i = 0; i < widths.size(); ++i) {
    const Weights block = weights / "up_blocks" / i;
    levels[i].resnets = resnets(block, config, config.layers_per_block + 1, widths[i ? i - 1 : 0], widths[i]);
    if (i + 1 < widths.size()) levels[i].resample = conv_3x3(block / "upsamplers" / 0 / "conv", widths[i], widths[i]);
  }
  return levels;
}

}  // namespace

AutoencoderKlConfig AutoencoderKlConfig::from_json(const Json& json, const std::string& where) {
  AutoencoderKlConfig c;
  c.in_channels = value_or(json, "in_channels", c.in_channels, where);
  c.out_channels = value_or(json, "out_channels", c.out_channels, where);
  c.latent_channels = value_or(json, "latent_channels", c.latent_channels, where);
  c.block_out_channels = value_or(json, "block_out_channels", c.block_out_channels, where);
  c.layers_per_block = value_or(json, "layers_per_block", c.layers_per_block, where);
  c.norm_num_groups = value_or(json, "norm_num_groups", c.norm_num_groups, where);
  require(c.in_channels > 0 && c.out_channels > 0 && c.latent_channels > 0 && c.layers_per_block > 0 &&
              c.norm_num_groups > 0 && !c.block_out_channels.empty(),
          where, ": in_channels, out_channels, latent_channels, layers_per_block, norm_num_groups and the list ",
          "block_out_channels must all be positive");
  for (const int64_t width : c.block_out_channels)
    require(width > 0 && width % c.norm_num_groups == 0, where, ": \"block_out_channels\" is ", c.block_out_channels,
            ", expected multiples of norm_num_groups ", c.norm_num_groups);
  require_known(json, "act_fn", "silu", where);
  require_known(json, "use_quant_conv", true, where);
  require_known(json, "use_post_quant_conv", true, where);
  require_known(json, "mid_block_add_attention", true, where);
  require_block_types(json, "down_block_types", "DownEncoderBlock2D", where);
  require_block_types(json, "up_block_types", "UpDecoderBlock2D", where);
  return c;
}

Tensor from_planes(const Tensor& planes) {
  return permute(planes, {0, 2, 3, 1}).reshape({planes.dim(0), 1, planes.dim(2), planes.dim(3), planes.dim(1)});
}

Tensor to_planes(const Tensor& x) {
  return permute(x, {0, 1, 4, 2, 3}).reshape({x.dim(0), x.dim(4), x.dim(2), x.dim(3)});
}

// Moments are as small as latents, so the exponential is taken on the host.
Posterior::Posterior(const Tensor& moments) {
  const int64_t channels = moments.dim(-1) / 2;
  mean = slice(moments, -1, 0, channels);
  std::vector<float> values = slice(moments, -1, channels, 2 * channels).to_host();
  for (float& value : values) value = std::clamp(value, -30.f, 20.f);
  log_variance = Tensor(moments.backend(), mean.shape(), values);
  for (float& value : values) value = std::exp(0.5f * value);
  deviation = Tensor(moments.backend(), mean.shape(), values);
}

KlResnet::KlResnet(const Weights& weights, const AutoencoderKlConfig& config, int64_t in, int64_t out)
    : norm1_(weights / "norm1", in, config.norm_num_groups, norm_epsilon),
      norm2_(weights / "norm2", out, config.norm_num_groups, norm_epsilon),
      conv1_(conv_3x3(weights / "conv1", in, out)), conv2_(conv_3x3(weights / "conv2", out, out)) {
  if (in != out) shortcut_ = conv_1x1(weights / "conv_shortcut", in, out);
}

// One step a statement: each frees its input, and at full size a tensor takes gigabytes.
Tensor KlResnet::operator()(const Tensor& x) const {
  Tensor h = norm1_(x, Activation::silu);
  h = conv1_(h);
  h = norm2_(h, Activation::silu);
  return conv2_.added_to(shortcut_ ? (*shortcut_)(x) : x, h);
}

KlAttention::KlAttention(const Weights& weights, const AutoencoderKlConfig& config, int64_t channels)
    : norm_(weights / "group_norm", channels, config.norm_num_groups, norm_epsilon) {
  const bool early_names = weights.has("query.weight");
  const auto linear = [&](const char* name, const char* early_name) {
    return Linear(weights / (early_names ? early_name : name), channels, channels);
  };
  q_ = linear("to_q", "query");
  k_ = linear("to_k", "key");
  v_ = linear("to_v", "value");
  out_ = linear("to_out.0", "proj_attn");
}

Tensor KlAttention::operator()(const Tensor& x) const {
  const int64_t images = x.dim(0), channels = x.dim(4);
  const Tensor h = norm_(x);
  const auto one_head = [&](const Linear& linear) { return linear(h).reshape({images, -1, 1, channels}); };
  const Tensor mixed = attention(one_head(q_), one_head(k_), one_head(v_), 1 / std::sqrt(float(channels)));
  return out_.added_to(x, mixed.reshape(x.shape()));
}

KlMiddle::KlMiddle(const Weights& weights, const AutoencoderKlConfig& config, int64_t channels)
    : first_(weights / "resnets" / 0, config, channels, channels),
      attention_(weights / "attentions" / 0, config, channels),
      second_(weights / "resnets" / 1, config, channels, channels) {}

Tensor KlMiddle::operator()(Tensor x, const Observer& observe) const {
  x = first_(x);
  x = attention_(x);
  show(observe, "mid_block.attentions.0", x);
  x = second_(x);
  show(observe, "mid_block", x);
  return x;
}

KlEncoder::KlEncoder(const Weights& weights, const AutoencoderKlConfig& config)
    : conv_in_(conv_3x3(weights / "conv_in", config.in_channels, config.block_out_channels.front())),
      levels_(down_blocks(weights, config)), middle_(weights / "mid_block", config, config.block_out_channels.back()),
      norm_out_(weights / "conv_norm_out", config.block_out_channels.back(), config.norm_num_groups, norm_epsilon),
      conv_out_(conv_3x3(weights / "conv_out", config.block_out_channels.back(), 2 * config.latent_channels)) {}

Tensor KlEncoder::operator()(const Tensor& images, const Observer& observe) const {
  Tensor h = conv_in_(images);
  show(observe, "conv_in", h);
  for (size_t i = 0; i < levels_.size(); ++i) {
    for (const KlResnet& resnet : levels_[i].resnets) h = resnet(h);
    if (levels_[i].resample) h = (*levels_[i].resample)(h);
    show(observe, concat("down_blocks.", i).c_str(), h);
  }
  h = middle_(h, observe);
  h = norm_out_(h, Activation::silu);
  return conv_out_(h);
}

KlDecoder::KlDecoder(const Weights& weights, const AutoencoderKlConfig& config)
    : conv_in_(conv_3x3(weights / "conv_in", config.latent_channels, config.block_out_channels.back())),
      middle_(weights / "mid_block", config, config.block_out_channels.back()), levels_(up_blocks(weights, config)),
      norm_out_(weights / "conv_norm_out", config.block_out_channels.front(), config.norm_num_groups, norm_epsilon),
      conv_out_(conv_3x3(weights / "conv_out", config.block_out_channels.front(), config.out_channels)) {}

Tensor KlDecoder::operator()(const Tensor& latents, const Observer& observe) const {
  Tensor h = conv_in_(latents);
  show(observe, "conv_in", h);
  h = middle_(h, observe);
  for (size_t i = 0; i < levels_.size(); ++i) {
    for (const KlResnet& resnet : levels_[i].resnets) h = resnet(h);
    if (levels_[i].resample) {
      h = upsample_nearest(h);
      h = (*levels_[i].resample)(h);
    }
    show(observe, concat("up_blocks.", i).c_str(), h);
  }
  h = norm_out_(h, Activation::silu);
  return to_float32(conv_out_(h));
}

AutoencoderKl::AutoencoderKl(const Weights& weights, const AutoencoderKlConfig& config, AutoencoderParts parts)
    : config_(config),
      post_quant_conv_(conv_1x1(weights / "post_quant_conv", config.latent_channels, config.latent_channels)),
      decoder_(weights / "decoder", config) {
  const bool whole = parts == AutoencoderParts::whole;
  if (whole || weights.has("encoder.conv_in.weight")) encoder_.emplace(weights / "encoder", config);
  if (whole || weights.has("quant_conv.weight"))
    quant_conv_ = conv_1x1(weights / "quant_conv", 2 * config.latent_channels, 2 * config.latent_channels);
  if (!whole) encoder_.reset();
}

Tensor AutoencoderKl::encode(const Tensor& images, const Observer& observe) const {
  require(encoder_.has_value(), "this autoencoder was loaded for decoding only: it cannot encode");
  require(images.axes() == 5 && images.dim(1) == 1 && images.dim(4) == config_.in_channels &&
              images.dim(2) >= config_.downsampling() && images.dim(3) >= config_.downsampling(),
          "autoencoder: images are ", images.shape(), ", expected [images, 1, height, width, ", config_.in_channels,
          "] with at least ", config_.downsampling(), " pixels along height and width");
  return quant_conv_((*encoder_)(images, observe));
}

Tensor AutoencoderKl::decode(const Tensor& latents, const Observer& observe) const {
  require(latents.axes() == 5 && latents.dim(1) == 1 && latents.dim(4) == config_.latent_channels,
          "autoencoder: latents are ", latents.shape(), ", expected [images, 1, height, width, ",
          config_.latent_channels, "]");
  const Tensor h = post_quant_conv_(to_activations(latents));
  show(observe, "post_quant_conv", h);
  return decoder_(h, observe);
}

}  // namespace pyracast
