#include "models/causal_vae.hpp"

#include <algorithm>
#include <cmath>

#include "comm/gather.hpp"

namespace pyracast {

namespace {

constexpr int64_t groups = 32;
constexpr float epsilon = 1e-6f;

using Layer = std::function<Tensor(const Tensor&)>;

/// `count` copies of the first frame in front.
Tensor with_first_frames(const Tensor& x, int64_t count) {
  return count ? concatenate({repeat(slice(x, 1, 0, 1), 1, count), x}, 1) : x;
}

/// Frames [batch, time, …] as pictures of their own, and back.
template <class F>
Tensor frame_by_frame(const Tensor& x, F f) {
  const Tensor out = f(x.reshape({x.dim(0) * x.dim(1), 1, x.dim(2), x.dim(3), x.dim(4)}));
  return out.reshape({x.dim(0), x.dim(1), out.dim(2), out.dim(3), out.dim(4)});
}

/// Along time it sees this frame and those before it.
struct CausalConvolution {
  Convolution convolution;
  int64_t time;   // frames that it sees
  Tensor operator()(const Tensor& x) const { return convolution(with_first_frames(x, time - 1)); }
  /// residual + (*this)(x).
  Tensor added_to(const Tensor& residual, const Tensor& x) const { return convolution.added_to(residual, with_first_frames(x, time - 1)); }
};

CausalConvolution causal_convolution(const Weights& weights, int64_t in, int64_t out, int64_t time, int64_t space) {
  const int64_t half = space / 2;
  return {Convolution(weights / "conv", in, out,
                      {.kernel = {time, space, space}, .pad_before = {0, half, half}, .pad_after = {0, half, half}}, 3), time};
}

Layer resnet_3d(const Weights& weights, int64_t in, int64_t out) {
  const GroupNorm norm1(weights / "norm1", in, groups, epsilon), norm2(weights / "norm2", out, groups, epsilon);
  const CausalConvolution conv1 = causal_convolution(weights / "conv1", in, out, 3, 3), conv2 = causal_convolution(weights / "conv2", out, out, 3, 3);
  const Layer shortcut = in == out ? Layer() : Layer(causal_convolution(weights / "nin_shortcut", in, out, 1, 1));
  return [=](const Tensor& x) {
    Tensor h = norm1(x, Activation::silu);
    h = conv1(h);
    h = norm2(h, Activation::silu);
    return conv2.added_to(shortcut ? shortcut(x) : x, h);
  };
}

Layer resnet_2d(const Weights& weights, int64_t in, int64_t out) {
  const GroupNorm norm1(weights / "norm1", in, groups, epsilon), norm2(weights / "norm2", out, groups, epsilon);
  const Convolution conv1(weights / "conv1", in, out, same_2d(3), 2), conv2(weights / "conv2", out, out, same_2d(3), 2);
  const Convolution shortcut = in == out ? Convolution() : Convolution(weights / "nin_shortcut", in, out, same_2d(1), 2);
  return [=](const Tensor& x) {
    return frame_by_frame(x, [&](const Tensor& pictures) {
      Tensor h = norm1(pictures, Activation::silu);
      h = conv1(h);
      h = norm2(h, Activation::silu);
      return conv2.added_to(in == out ? pictures : shortcut(pictures), h);
    });
  };
}

Layer resnet(const std::string& kind, const Weights& weights, int64_t in, int64_t out) {
  return kind == "ResnetBlock2D" ? resnet_2d(weights, in, out) : resnet_3d(weights, in, out);
}

/// One head over all channels, within each frame.
Layer frame_attention(const Weights& weights, int64_t channels) {
  const GroupNorm norm(weights / "norm", channels, groups, epsilon);
  const Layer q = causal_convolution(weights / "q", channels, channels, 1, 1), k = causal_convolution(weights / "k", channels, channels, 1, 1),
              v = causal_convolution(weights / "v", channels, channels, 1, 1);
  const CausalConvolution out = causal_convolution(weights / "proj_out", channels, channels, 1, 1);
  return [=](const Tensor& x) {
    const Tensor h = norm(x);
    const auto one_head = [&](const Layer& layer) { return layer(h).reshape({x.dim(0) * x.dim(1), x.dim(2) * x.dim(3), 1, channels}); };
    return out.added_to(x, attention(one_head(q), one_head(k), one_head(v), 1 / std::sqrt(float(channels))).reshape(x.shape()));
  };
}

/// Half the height and width: zeros stand behind the last row and column alone.
Layer downsample(const Weights& weights, int64_t channels) {
  const Convolution convolution(weights / "conv", channels, channels, {.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .pad_after = {0, 1, 1}}, 2);
  return [=](const Tensor& x) { return frame_by_frame(x, convolution); };
}

/// Half of height, width and frames.
Layer downsample_3d(const Weights& weights, int64_t channels) {
  const Convolution convolution(weights / "conv" / "conv", channels, channels,
                                {.kernel = {3, 3, 3}, .stride = {2, 2, 2}, .pad_after = {0, 1, 1}}, 3);
  return [=](const Tensor& x) { return convolution(with_first_frames(x, 2)); };
}

float mixed_share(const Weights& weights) {
  const std::vector<float> factor = weights.numbers("mix_factor", {1});
  return factor.empty() ? 0 : 1 / (1 + std::exp(-factor[0]));
}

/// Frames 2 i + offset of each batch entry.
Tensor every_second_frame(const Tensor& x, int64_t offset, int64_t count) {
  std::vector<int64_t> rows;
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t i = 0; i < count; ++i) rows.push_back(b * x.dim(1) + 2 * i + offset);
  const Tensor table = x.reshape({x.dim(0) * x.dim(1), x.dim(2) * x.dim(3) * x.dim(4)});
  return gather_rows(table, rows).reshape({x.dim(0), count, x.dim(2), x.dim(3), x.dim(4)});
}

/// Half of the frames: a learned mixture of a mean over three frames and a convolution.
Layer time_downsample(const Weights& weights, int64_t channels) {
  const float share = mixed_share(weights);
  const Convolution convolution(weights / "conv", channels, channels,
                                {.kernel = {3, 3, 3}, .stride = {2, 1, 1}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}, 3);
  return [=](const Tensor& given) {
    const Tensor x = with_first_frames(given, 2);
    const int64_t count = (x.dim(1) - 3) / 2 + 1;
    const Tensor sum = every_second_frame(x, 0, count) + every_second_frame(x, 1, count) + every_second_frame(x, 2, count);
    return combine(share / 3, sum, 1 - share, convolution(x));
  };
}

Layer spatial_upsample(const Weights& weights, int64_t channels) {
  const Layer convolution = causal_convolution(weights / "conv", channels, channels, 1, 3);
  return [=](const Tensor& x) { return convolution(upsample_nearest(x)); };
}

/// Twice as many positions along an axis, linearly interpolated between their middles; the ends stay.
Tensor doubled(const Tensor& x, int axis) {
  const int64_t n = x.dim(axis);
  const Tensor before = n > 1 ? concatenate({slice(x, axis, 0, 1), slice(x, axis, 0, n - 1)}, axis) : x;
  const Tensor after = n > 1 ? concatenate({slice(x, axis, 1, n), slice(x, axis, n - 1, n)}, axis) : x;
  Shape apart = x.shape(), together = x.shape();
  apart.insert(apart.begin() + axis + 1, 1);
  together[size_t(axis)] = 2 * n;
  const Tensor even = combine(0.25f, before, 0.75f, x), odd = combine(0.75f, x, 0.25f, after);
  return concatenate({even.reshape(apart), odd.reshape(apart)}, axis + 1).reshape(together);
}

/// The first frame stands for itself, the others for two each.
template <class First, class Rest>
Tensor first_and_rest(const Tensor& x, First first, Rest rest) {
  if (x.dim(1) == 1) return first(x);
  return concatenate({first(slice(x, 1, 0, 1)), rest(slice(x, 1, 1, x.dim(1)))}, 1);
}

Layer time_upsample(const Weights& weights, int64_t channels) {
  const float share = mixed_share(weights);
  const Layer convolution = causal_convolution(weights / "conv", channels, channels, 3, 3);
  return [=](const Tensor& given) {
    const Tensor x = first_and_rest(given, [](const Tensor& first) { return first; }, [](const Tensor& rest) { return doubled(rest, 1); });
    return combine(share, x, 1 - share, convolution(x));
  };
}

Layer upsample_3d(const Weights& weights, int64_t channels) {
  const Layer convolution = causal_convolution(weights / "conv", channels, channels, 3, 3);
  return [=](const Tensor& x) {
    const auto larger = [](const Tensor& pictures) { return doubled(doubled(pictures, 2), 3); };
    return convolution(first_and_rest(x, larger, [&](const Tensor& rest) { return larger(doubled(rest, 1)); }));
  };
}

void show(const Observer& observe, const std::string& name, const Tensor& x) {
  if (observe) observe(name.c_str(), permute(x, {0, 4, 1, 2, 3}));
}

/// [begin, end) of chunks of at most `most` that share one position with the one before.
std::vector<std::pair<int64_t, int64_t>> chunks_of(int64_t count, int64_t most) {
  std::vector<std::pair<int64_t, int64_t>> chunks;
  for (int64_t start = 0; start < count; start += most - 1) {
    if (!chunks.empty() && chunks.back().second >= count) break;
    chunks.push_back({start, std::min(start + most, count)});
  }
  return chunks;
}

/// The first positions of `tile` along an axis are led over from the last ones of its neighbour.
Tensor blended(const Tensor& neighbour, const Tensor& tile, int axis, int64_t most) {
  const int64_t size = neighbour.dim(axis), n = std::min({size, tile.dim(axis), most});
  std::vector<Tensor> parts;
  for (int64_t k = 0; k < n; ++k) {
    const float share = float(k) / float(n);
    parts.push_back(combine(1 - share, slice(neighbour, axis, size - n + k, size - n + k + 1), share, slice(tile, axis, k, k + 1)));
  }
  if (n < tile.dim(axis)) parts.push_back(slice(tile, axis, n, tile.dim(axis)));
  return concatenate(parts, axis);
}

/// Tiles of `size`, a `stride` apart, through f; neighbours are blended over `blend` of what comes out, of which `keep` is kept.
template <class F>
Tensor tiled(const Tensor& x, int64_t size, int64_t stride, int64_t blend, int64_t keep, F f) {
  std::vector<Tensor> above, rows;
  for (int64_t top = 0; top < x.dim(2); top += stride) {
    std::vector<Tensor> row, kept;
    for (int64_t left = 0; left < x.dim(3); left += stride) {
      const Tensor cut = slice(slice(x, 2, top, std::min(top + size, x.dim(2))), 3, left, std::min(left + size, x.dim(3)));
      Tensor tile = f(cut);
      if (!above.empty()) tile = blended(above[row.size()], tile, 2, blend);
      if (!row.empty()) tile = blended(row.back(), tile, 3, blend);
      row.push_back(tile);
      kept.push_back(slice(slice(tile, 2, 0, std::min(keep, tile.dim(2))), 3, 0, std::min(keep, tile.dim(3))));
    }
    rows.push_back(concatenate(kept, 3));
    above = std::move(row);
  }
  return concatenate(rows, 2);
}

/// Chunks of frames through f; each but the first repeats a frame, which is dropped.
template <class F>
Tensor chunked(const Tensor& x, int64_t most, F f) {
  std::vector<Tensor> parts;
  for (const auto& [begin, end] : chunks_of(x.dim(1), most)) {
    const Tensor out = f(slice(x, 1, begin, end));
    parts.push_back(parts.empty() ? out : slice(out, 1, 1, out.dim(1)));
  }
  return concatenate(parts, 1);
}

std::vector<std::string> names_of(const Json& json, const char* key, size_t levels, std::initializer_list<const char*> known,
                                  const std::string& where) {
  const auto names = value<std::vector<std::string>>(json, key, where);
  require(names.size() == levels, where, ": \"", key, "\" names ", names.size(), " levels, expected ", levels);
  for (const std::string& name : names)
    require(std::find(known.begin(), known.end(), name) != known.end(), where, ": \"", key, "\" names ", name, ", which this network does not know");
  return names;
}

}  // namespace

CausalVaeConfig CausalVaeConfig::from_json(const Json& json, const std::string& where) {
  CausalVaeConfig c;
  c.hidden_size = count_value(json, "hidden_size", where);
  c.num_res_blocks = count_value(json, "num_res_blocks", where);
  c.z_channels = count_value_or(json, "z_channels", 4, where);
  c.embed_dim = count_value_or(json, "embed_dim", c.z_channels, where);
  c.hidden_size_mult = value<std::vector<int64_t>>(json, "hidden_size_mult", where);
  const size_t levels = c.hidden_size_mult.size();
  require(levels > 0, where, ": \"hidden_size_mult\" is empty");
  for (size_t level = 0; level < levels; ++level)
    require(c.width(level) > 0 && c.width(level) % groups == 0, where, ": level ", level, " is ", c.width(level), " wide, expected a multiple of ",
            groups);
  require(c.hidden_size % groups == 0, where, ": \"hidden_size\" is ", c.hidden_size, ", expected a multiple of ", groups);
  c.encoder_resnet_blocks = names_of(json, "encoder_resnet_blocks", levels, {"ResnetBlock2D", "ResnetBlock3D"}, where);
  c.decoder_resnet_blocks = names_of(json, "decoder_resnet_blocks", levels, {"ResnetBlock2D", "ResnetBlock3D"}, where);
  c.encoder_spatial_downsample = names_of(json, "encoder_spatial_downsample", levels, {"", "Downsample", "Spatial2xTime2x3DDownsample"}, where);
  c.encoder_temporal_downsample = names_of(json, "encoder_temporal_downsample", levels, {"", "TimeDownsampleRes2x"}, where);
  c.decoder_spatial_upsample = names_of(json, "decoder_spatial_upsample", levels, {"", "SpatialUpsample2x", "Spatial2xTime2x3DUpsample"}, where);
  c.decoder_temporal_upsample = names_of(json, "decoder_temporal_upsample", levels, {"", "TimeUpsampleRes2x"}, where);
  const auto only = [&](const char* key, const Json& known) {
    const Json found = value_or(json, key, known, where);
    require(found == known, where, ": \"", key, "\" is ", found.dump(), ", this network knows only ", known.dump());
  };
  only("attn_resolutions", Json::array());
  only("double_z", true);
  for (const char* key : {"encoder_attention", "decoder_attention"}) only(key, "AttnBlock3DFix");
  for (const char* key : {"encoder_mid_resnet", "decoder_mid_resnet"}) only(key, "ResnetBlock3D");
  for (const char* key : {"encoder_conv_out", "decoder_conv_in", "decoder_conv_out", "q_conv"}) only(key, "CausalConv3d");
  only("encoder_conv_in", "Conv2d");
  return c;
}

CausalVae::CausalVae(const Weights& weights, const CausalVaeConfig& c) {
  const size_t levels = c.hidden_size_mult.size();
  const Weights encoder = weights / "encoder", decoder = weights / "decoder";
  const auto middle = [](const Weights& of, int64_t channels) {
    return Middle{resnet_3d(of / "block_1", channels, channels), frame_attention(of / "attn_1", channels),
                  resnet_3d(of / "block_2", channels, channels)};
  };
  const Convolution in(encoder / "conv_in", 3, c.hidden_size, same_2d(3), 2);
  encoder_in_ = [in](const Tensor& x) { return frame_by_frame(x, in); };
  int64_t channels = c.hidden_size;
  for (size_t l = 0; l < levels; ++l) {
    const Weights here = encoder / "down" / l;
    Level& level = down_.emplace_back();
    for (int64_t b = 0; b < c.num_res_blocks; ++b, channels = c.width(l))
      level.resnets.push_back(resnet(c.encoder_resnet_blocks[l], here / "block" / b, channels, c.width(l)));
    if (c.encoder_spatial_downsample[l] == "Downsample") level.spatial = downsample(here / "downsample", channels);
    if (c.encoder_spatial_downsample[l] == "Spatial2xTime2x3DDownsample") level.spatial = downsample_3d(here / "downsample", channels);
    if (!c.encoder_temporal_downsample[l].empty()) level.temporal = time_downsample(here / "time_downsample", channels);
  }
  encoder_middle_ = middle(encoder / "mid", channels);
  encoder_norm_ = GroupNorm(encoder / "norm_out", channels, groups, epsilon);
  encoder_out_ = causal_convolution(encoder / "conv_out", channels, 2 * c.z_channels, 3, 3);
  quant_ = causal_convolution(weights / "quant_conv", 2 * c.z_channels, 2 * c.embed_dim, 1, 1);

  post_quant_ = causal_convolution(weights / "post_quant_conv", c.embed_dim, c.z_channels, 1, 1);
  decoder_in_ = causal_convolution(decoder / "conv_in", c.z_channels, channels, 3, 3);
  decoder_middle_ = middle(decoder / "mid", channels);
  up_.resize(levels);
  for (size_t l = levels; l-- > 0;) {
    const Weights here = decoder / "up" / l;
    Level& level = up_[l];
    for (int64_t b = 0; b <= c.num_res_blocks; ++b, channels = c.width(l))
      level.resnets.push_back(resnet(c.decoder_resnet_blocks[l], here / "block" / b, channels, c.width(l)));
    if (c.decoder_spatial_upsample[l] == "SpatialUpsample2x") level.spatial = spatial_upsample(here / "upsample", channels);
    if (c.decoder_spatial_upsample[l] == "Spatial2xTime2x3DUpsample") level.spatial = upsample_3d(here / "upsample", channels);
    if (!c.decoder_temporal_upsample[l].empty()) level.temporal = time_upsample(here / "time_upsample", channels);
    if (!c.decoder_spatial_upsample[l].empty()) pixels_a_latent_ *= 2;
    if (c.decoder_spatial_upsample[l] == "Spatial2xTime2x3DUpsample" || !c.decoder_temporal_upsample[l].empty()) frames_a_latent_ *= 2;
  }
  decoder_norm_ = GroupNorm(decoder / "norm_out", channels, groups, epsilon);
  decoder_out_ = causal_convolution(decoder / "conv_out", channels, 3, 3, 3);
}

Tensor CausalVae::moments(const Tensor& x, const Observer& observe) const {
  const Observer see = observe / "encoder";
  Tensor h = encoder_in_(x);
  show(see, "conv_in", h);
  for (size_t l = 0; l < down_.size(); ++l) {
    const std::string level = concat("down.", l, '.');
    for (size_t b = 0; b < down_[l].resnets.size(); ++b) {
      h = down_[l].resnets[b](h);
      show(see, concat(level, "block.", b), h);
    }
    if (down_[l].spatial) show(see, level + "downsample", h = down_[l].spatial(h));
    if (down_[l].temporal) show(see, level + "time_downsample", h = down_[l].temporal(h));
  }
  show(see, "mid.block_1", h = encoder_middle_.first(h));
  show(see, "mid.attn_1", h = encoder_middle_.attention(h));
  show(see, "mid.block_2", h = encoder_middle_.second(h));
  h = encoder_norm_(h, Activation::silu);
  show(see, "conv_out", h = encoder_out_(h));
  return quant_(h);
}

Tensor CausalVae::frames(const Tensor& z, const Observer& observe) const {
  const Observer see = observe / "decoder";
  Tensor h = post_quant_(to_activations(z));
  show(observe, "post_quant_conv", h);
  show(see, "conv_in", h = decoder_in_(h));
  show(see, "mid.block_1", h = decoder_middle_.first(h));
  show(see, "mid.attn_1", h = decoder_middle_.attention(h));
  show(see, "mid.block_2", h = decoder_middle_.second(h));
  for (size_t l = up_.size(); l-- > 0;) {
    const std::string level = concat("up.", l, '.');
    for (size_t b = 0; b < up_[l].resnets.size(); ++b) show(see, concat(level, "block.", b), h = up_[l].resnets[b](h));
    if (up_[l].spatial) show(see, level + "upsample", h = up_[l].spatial(h));
    if (up_[l].temporal) show(see, level + "time_upsample", h = up_[l].temporal(h));
  }
  h = decoder_norm_(h, Activation::silu);
  show(see, "conv_out", h = decoder_out_(h));
  return to_float32(h);
}

Tensor CausalVae::encode(const Tensor& x, const std::optional<CausalVaeTiling>& t, const Observer& observe) const {
  require(x.axes() == 5 && x.dim(4) == 3, "causal VAE: pictures are ", x.shape(), ", expected [batch, frames, height, width, 3]");
  if (!t || (x.dim(2) <= t->sample_size && x.dim(3) <= t->sample_size && x.dim(1) <= t->sample_frames)) return moments(x, observe);
  const auto stride = int64_t(double(t->sample_size) * (1 - t->overlap)), blend = int64_t(double(t->latent_size) * t->overlap);
  return chunked(x, t->sample_frames, [&](const Tensor& chunk) {
    return tiled(chunk, t->sample_size, stride, blend, t->latent_size - blend, [&](const Tensor& tile) { return moments(tile, {}); });
  });
}

Tensor CausalVae::tiled_frames(const Tensor& z, const CausalVaeTiling& t) const {
  const auto stride = int64_t(double(t.latent_size) * (1 - t.overlap)), blend = int64_t(double(t.sample_size) * t.overlap);
  return tiled(z, t.latent_size, stride, blend, t.sample_size - blend, [&](const Tensor& tile) { return frames(tile, {}); });
}

Tensor CausalVae::decode(const Tensor& z, const std::optional<CausalVaeTiling>& t, const Observer& observe) const {
  require(z.axes() == 5, "causal VAE: latents are ", z.shape(), ", expected [batch, frames, height, width, channels]");
  if (!t || (z.dim(2) <= t->latent_size && z.dim(3) <= t->latent_size && z.dim(1) <= t->latent_frames)) return frames(z, observe);
  return chunked(z, t->latent_frames, [&](const Tensor& chunk) { return tiled_frames(chunk, *t); });
}

Tensor CausalVae::decode(const Tensor& z, const std::optional<CausalVaeTiling>& t, Communicator& team) const {
  require(z.axes() == 5, "causal VAE: latents are ", z.shape(), ", expected [batch, frames, height, width, channels]");
  if (team.size() == 1 || !t || z.dim(1) <= t->latent_frames) return decode(z, t);   // one chunk: every rank decodes it
  const auto chunks = chunks_of(z.dim(1), t->latent_frames);
  std::vector<int64_t> frames_of_ranks(size_t(team.size()), 0);
  std::vector<Tensor> parts{Tensor(z.backend(), {z.dim(0), 0, z.dim(2) * pixels_a_latent_, z.dim(3) * pixels_a_latent_, 3})};
  for (int rank = 0; rank < team.size(); ++rank) {
    const auto first = [&](int of) { return part_start(int64_t(chunks.size()), of, team.size()); };
    for (int64_t i = first(rank); i < first(rank + 1); ++i) {
      const auto [begin, end] = chunks[size_t(i)];
      frames_of_ranks[size_t(rank)] += (end - begin - 1) * frames_a_latent_ + (i == 0);
      if (rank != team.rank()) continue;
      const Tensor out = tiled_frames(slice(z, 1, begin, end), *t);
      parts.push_back(i == 0 ? out : slice(out, 1, 1, out.dim(1)));
    }
  }
  return gather(team, concatenate(parts, 1), 1, frames_of_ranks);
}

}  // namespace pyracast
