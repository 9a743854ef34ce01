#include "bench/bench_stages.hpp"

#include <cmath>

#include "models/autoencoder_kl.hpp"
#include "models/latte.hpp"
#include "models/stdit3.hpp"
#include "models/t5.hpp"

namespace pyracast {

namespace {

const BenchSizes published_sizes{
    .hidden = 1152, .heads = 16, .batch = 1, .frames = 15, .space = 300, .keys = 200, .gemm_rows = 1500, .vae_widths = {128, 256, 512, 512},
    .vae_layers = 2, .vae_groups = 32, .picture = 256, .text_width = 4096, .text_inner = 10240, .text_heads = 64, .text_tokens = 300};
const BenchSizes demo_sizes{
    .hidden = 128, .heads = 4, .batch = 2, .frames = 5, .space = 12, .keys = 24, .gemm_rows = 120, .vae_widths = {16, 32, 48, 64},
    .vae_layers = 1, .vae_groups = 8, .picture = 48, .text_width = 64, .text_inner = 128, .text_heads = 4, .text_tokens = 20};

using Prepared = std::function<void()>;

/// As a device keeps tokens and pictures.
Tensor token_input(Backend& backend, const Shape& shape) { return to_activations(random_input(backend, shape)); }

double floats(std::initializer_list<Shape> tensors) {
  double bytes = 0;
  for (const Shape& shape : tensors) bytes += 4 * double(size_of(shape));
  return bytes;
}

BenchStage gemm(int64_t rows, int64_t depth, int64_t columns) {
  return {concat("gemm-", rows, 'x', depth, 'x', columns), 2 * double(rows * depth * columns),
          floats({{rows, depth}, {columns, depth}, {rows, columns}}), [=](Backend& backend, WeightStorage storage) -> Prepared {
            const Linear linear(Weights::random(backend, storage).of_tokens(), depth, columns);
            return [linear, x = token_input(backend, {rows, depth})] { linear(x); };
          }};
}

BenchStage convolution(const char* kind, const Shape& x, int64_t out_channels, const ConvolutionGeometry& geometry) {
  const int64_t taps = geometry.kernel[0] * geometry.kernel[1] * geometry.kernel[2], positions = size_of(x) / x.back();
  return {concat("conv-", kind, '-', x[4], "-", out_channels, "-at-", x[1], 'x', x[2], 'x', x[3]),
          2 * double(positions * taps * x.back() * out_channels), floats({x, {taps, x.back(), out_channels}, {positions, out_channels}}),
          [=](Backend& backend, WeightStorage storage) -> Prepared {
            const Convolution conv(Weights::random(backend, storage), x.back(), out_channels, geometry, 3);
            return [conv, input = token_input(backend, x)] { conv(input); };
          }};
}

/// Self attention from the output of the qkv product to the input of the projection, of sequences along the second axis.
BenchStage self_attention(const char* name, int64_t batch, int64_t length, int64_t beside, const BenchSizes& s, bool rotated) {
  const int64_t size = s.hidden / s.heads;
  return {name, 4 * double(batch * beside * length * length * s.hidden), floats({{4, batch * beside * length, s.hidden}}),
          [=, heads = s.heads](Backend& backend, WeightStorage) -> Prepared {
            const Tensor qkv = token_input(backend, {batch, length, beside, 3, heads, size}), norm = random_input(backend, {size});
            const RotaryTable turn = rotated ? rotary_table(backend, length, std::vector<float>(size_t(size / 2), 0.3f)) : RotaryTable();
            return [=] { packed_attention(qkv, norm, norm, 1e-6f, turn.cosines, turn.sines, 1 / std::sqrt(float(size))); };
          }};
}

BenchStage cross_attention(const BenchSizes& s) {
  const int64_t tokens = s.frames * s.space, size = s.hidden / s.heads, keys = s.keys / s.batch;
  return {"cross-attention", 4 * double(s.batch * tokens * keys * s.hidden), floats({{2, s.batch * tokens, s.hidden}, {2, s.keys, s.hidden}}),
          [=](Backend& backend, WeightStorage) -> Prepared {
            const Tensor q = token_input(backend, {s.batch, tokens, s.heads, size}), kv = token_input(backend, {1, s.keys, s.heads, size});
            std::vector<KeyRange> ranges;
            for (int64_t b = 0; b < s.batch; ++b) ranges.push_back({b * keys, (b + 1) * keys});
            return [=] { attention(q, kv, kv, 1 / std::sqrt(float(size)), {}, ranges); };
          }};
}

/// The last product of an attention, by itself or gated and added to what goes in.
BenchStage projection(const BenchSizes& s, const char* name, bool gated) {
  const Shape x{s.batch, s.frames * s.space, s.hidden}, factors{s.batch, s.hidden};
  return {name, double(size_of(x)) * double(2 * s.hidden + (gated ? 2 : 0)), floats({x, x, gated ? x : Shape{0}, {s.hidden, s.hidden}}),
          [=](Backend& backend, WeightStorage storage) -> Prepared {
            const Linear linear(Weights::random(backend, storage).of_tokens(), s.hidden, s.hidden);
            const Tensor h = token_input(backend, x), added = token_input(backend, x);
            const Residual residual = gated ? Residual(added, random_input(backend, factors)) : Residual();
            return [=] { linear.added_to(residual, h); };
          }};
}

std::vector<BenchStage> row_stages(const BenchSizes& s) {
  const Shape x{s.batch, s.frames * s.space, s.hidden}, factors{s.batch, s.hidden};
  const double elements = double(size_of(x));
  Shape inner = x;
  inner.back() *= 4;
  return {
      {"norm-modulate", 8 * elements, floats({x, x, factors, factors}), [=](Backend& backend, WeightStorage) -> Prepared {
         return [h = token_input(backend, x), f = random_input(backend, factors)] { modulated_norm(h, 1e-6f, f, f); };
       }},
      {"gate-residual", 2 * elements, floats({x, x, x, factors}), [=](Backend& backend, WeightStorage) -> Prepared {
         return [h = token_input(backend, x), f = random_input(backend, factors)] { add_gated(h, h, f); };
       }},
      projection(s, "projection", false),
      projection(s, "projection-gated", true),
      {"gelu", 4 * 10 * elements, floats({inner, inner}), [=](Backend& backend, WeightStorage) -> Prepared {
         return [h = token_input(backend, inner)] { activate(h, Activation::gelu_tanh); };
       }},
      {"mlp", 4 * elements * double(4 * s.hidden), floats({x, x, {8 * s.hidden, s.hidden}}),
       [=](Backend& backend, WeightStorage storage) -> Prepared {
         const Weights weights = Weights::random(backend, storage).of_tokens();
         const Mlp mlp{Linear(weights / 0, s.hidden, 4 * s.hidden), Linear(weights / 1, 4 * s.hidden, s.hidden)};
         return [=, h = token_input(backend, x)] { mlp(h); };
       }},
  };
}

/// What a block is run in: one rank, nothing reused.
struct Alone {
  std::unique_ptr<Communicator> team = make_lone_communicator();
  Run run{*team, BroadcastSchedule(1, 1)};
};

BenchStage stdit3_pair(const BenchSizes& s) {
  const double tokens = double(s.batch * s.frames * s.space), hidden = double(s.hidden), keys = double(s.keys / s.batch);
  return {"stdit3-pair", 56 * tokens * hidden * hidden + 8 * double(s.keys) * hidden * hidden +
              4 * tokens * hidden * double(s.space + s.frames) + 8 * tokens * hidden * keys,
          floats({{2, int64_t(tokens), s.hidden}, {32 * s.hidden, s.hidden}}), [=](Backend& backend, WeightStorage storage) -> Prepared {
            Stdit3Config config;
            config.hidden_size = s.hidden;
            config.num_heads = s.heads;
            const Weights weights = Weights::random(backend, storage).of_tokens();
            const Stdit3Block spatial(weights / "spatial", config, Axis::space, 0), temporal(weights / "temporal", config, Axis::time, 0);
            CaptionTokens caption{token_input(backend, {1, s.keys, s.hidden}), {}};
            for (int64_t b = 0; b < s.batch; ++b) caption.keys.push_back({b * s.keys / s.batch, (b + 1) * s.keys / s.batch});
            const RotaryTable rotary = rotary_table(backend, s.frames, std::vector<float>(size_t(config.head_size() / 2), 0.3f));
            return [=, x = random_input(backend, {s.batch, s.frames, s.space, s.hidden}), time = random_input(backend, {s.batch, 6 * s.hidden})] {
              Alone alone;
              alone.run.begin(0);
              const Tensor tokens = alone.run.shard(x, {Branch::spatial_attention, 0});
              temporal(spatial(tokens, time, caption, rotary, alone.run), time, caption, rotary, alone.run);
            };
          }};
}

/// 16 frames of 256 tokens at the published width, 120 tokens of text.
BenchStage latte_pair(const BenchSizes& s) {
  const bool published = s.hidden == published_sizes.hidden;
  const int64_t frames = published ? 16 : s.frames, space = published ? 256 : s.space, keys = published ? 120 : s.keys;
  const double tokens = double(frames * space), hidden = double(s.hidden);
  return {"latte-pair", 52 * tokens * hidden * hidden + 4 * double(keys) * hidden * hidden + 4 * tokens * hidden * double(space + frames + keys),
          floats({{2, int64_t(tokens), s.hidden}, {28 * s.hidden, s.hidden}}), [=](Backend& backend, WeightStorage storage) -> Prepared {
            LatteConfig config;
            config.heads = s.heads;
            config.head_size = s.hidden / s.heads;
            const Weights weights = Weights::random(backend, storage).of_tokens();
            const LatteBlock spatial(weights / "spatial", config, Axis::space, 0), temporal(weights / "temporal", config, Axis::time, 0);
            const LatteCaption caption{token_input(backend, {1, keys, s.hidden}), {}};
            return [=, x = random_input(backend, {1, frames, space, s.hidden}), time = random_input(backend, {1, 6 * s.hidden})] {
              Alone alone;
              alone.run.begin(0);
              const Tensor tokens = alone.run.shard(x, {Branch::spatial_attention, 0});
              temporal(spatial(tokens, time, caption, {}, alone.run), time, caption, {}, alone.run);
            };
          }};
}

/// Multiply-adds of AutoencoderKL's decoder for a picture of latents [side, side], times two.
double vae_flop(const BenchSizes& s) {
  const std::vector<int64_t> widths(s.vae_widths.rbegin(), s.vae_widths.rend());
  double pixels = double(s.picture / 8 * s.picture / 8), macs = 0;
  const auto conv = [&](int64_t in, int64_t out, double taps) { macs += pixels * taps * double(in * out); };
  conv(4, 4, 1);
  conv(4, widths[0], 9);
  for (int i = 0; i < 4; ++i) {
    conv(widths[0], widths[0], 9);
    conv(widths[0], widths[0], 1);   // of the attention
  }
  macs += 2 * pixels * pixels * double(widths[0]);
  for (size_t level = 0; level < widths.size(); ++level) {
    for (int64_t i = 0; i <= s.vae_layers; ++i) {
      const int64_t in = i == 0 && level > 0 ? widths[level - 1] : widths[level];
      conv(in, widths[level], 9);
      conv(widths[level], widths[level], 9);
      if (in != widths[level]) conv(in, widths[level], 1);
    }
    if (level + 1 == widths.size()) break;
    pixels *= 4;
    conv(widths[level], widths[level], 9);
  }
  conv(widths.back(), 3, 9);
  return 2 * macs;
}

BenchStage vae_decode(const BenchSizes& s) {
  const int64_t side = s.picture / 8;
  return {"vae-decode", vae_flop(s), floats({{side, side, 4}, {s.picture, s.picture, 3}}), [=](Backend& backend, WeightStorage storage) -> Prepared {
            AutoencoderKlConfig config;
            config.block_out_channels = s.vae_widths;
            config.layers_per_block = s.vae_layers;
            config.norm_num_groups = s.vae_groups;
            config.latent_channels = 4;
            const auto vae = std::make_shared<AutoencoderKl>(Weights::random(backend, storage), config, AutoencoderParts::whole);
            return [vae, z = random_input(backend, {1, 1, side, side, 4})] { vae->decode(z); };
          }};
}

BenchStage text_layer(const BenchSizes& s) {
  const double tokens = double(s.text_tokens), width = double(s.text_width), inner = double(s.text_inner);
  return {"t5-layer", 2 * tokens * width * (4 * width + 3 * inner) + 4 * tokens * tokens * width, 4 * width * (4 * width + 3 * inner),
          [=](Backend& backend, WeightStorage storage) -> Prepared {
            T5Config config;
            config.d_model = s.text_width;
            config.d_kv = s.text_width / s.text_heads;
            config.d_ff = s.text_inner;
            config.num_heads = s.text_heads;
            config.num_layers = 1;
            config.vocab_size = 128;
            const auto encoder = std::make_shared<T5Encoder>(Weights::random(backend, storage), config);
            return [encoder, ids = std::vector<int64_t>(size_t(s.text_tokens), 7), mask = std::vector<int64_t>(size_t(s.text_tokens), 1)] {
              (*encoder)(ids, mask, 1);
            };
          }};
}

}  // namespace

BenchSizes bench_sizes(const std::string& name) {
  if (name == "published") return published_sizes;
  if (name == "demo") return demo_sizes;
  require(name == "480p", "size is \"", name, "\", expected published, 480p or demo");
  BenchSizes sizes = published_sizes;
  sizes.batch = 2;
  sizes.space = 30 * 54;   // of 480 x 854 pixels
  sizes.keys *= sizes.batch;
  sizes.gemm_rows = sizes.batch * sizes.frames * sizes.space;
  sizes.picture = 512;
  return sizes;
}

void run_stage(const std::function<void()>& prepared) { prepared(); }

Tensor random_input(Backend& backend, const Shape& shape) {
  std::vector<float> values(size_t(size_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(int64_t(i * 2654435761u % 2001) - 1000) / 1000;
  return Tensor(backend, shape, values);
}

std::vector<BenchStage> bench_stages(const BenchSizes& s) {
  std::vector<BenchStage> stages{gemm(s.gemm_rows, s.hidden, 3 * s.hidden), gemm(s.gemm_rows, s.hidden, s.hidden),
                                 gemm(s.gemm_rows, 4 * s.hidden, s.hidden)};
  const int64_t narrow = s.vae_widths[0], middle = s.vae_widths[1], wide = s.vae_widths[3], side = s.picture / 8;
  const ConvolutionGeometry cube{.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}};
  stages.push_back(convolution("3x3", {1, 1, side, side, wide}, wide, same_2d(3)));
  stages.push_back(convolution("3x3", {1, 1, s.picture / 2, s.picture / 2, middle}, middle, same_2d(3)));
  stages.push_back(convolution("3x3", {1, 1, s.picture, s.picture, narrow}, narrow, same_2d(3)));
  stages.push_back(convolution("3x3", {1, 1, s.picture, s.picture, narrow}, 3, same_2d(3)));
  stages.push_back(convolution("3x3x3", {1, 5, side / 2, side / 2, wide}, wide, cube));
  stages.push_back(convolution("3x3x3", {1, 9, s.picture / 4, s.picture / 4, narrow}, narrow, cube));
  stages.push_back(convolution("3x1x1", {1, 9, side, side, middle}, middle, {.kernel = {3, 1, 1}, .pad_before = {2, 0, 0}}));
  stages.push_back(self_attention("spatial-attention", s.batch * s.frames, s.space, 1, s, false));
  stages.push_back(self_attention("temporal-attention", s.batch, s.frames, s.space, s, true));
  stages.push_back(cross_attention(s));
  for (BenchStage& stage : row_stages(s)) stages.push_back(std::move(stage));
  stages.push_back(stdit3_pair(s));
  stages.push_back(latte_pair(s));
  stages.push_back(vae_decode(s));
  stages.push_back(text_layer(s));
  return stages;
}

}  // namespace pyracast
