#include "bench/bench_networks.hpp"

#include <omp.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "base/counted.hpp"
#include "bench/bench_stages.hpp"
#include "kernels/cpu/peak.hpp"
#include "models/open_sora_vae.hpp"
#include "models/stdit3.hpp"
#include "models/t5.hpp"
#include "pipeline/text_to_video.hpp"

namespace pyracast {

namespace {

/// The largest resident memory since the last call, in bytes (VmHWM of proc(5), reset through clear_refs).
double peak_bytes() {
  double kib = 0;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) kib = std::stod(line.substr(6));
  std::ofstream("/proc/self/clear_refs") << "5";
  return kib * 1024;
}

double gib(double bytes) { return bytes / (1 << 30); }

/// Prints a line a phase.
class Lines {
 public:
  Lines(const NetworkBench& bench, Backend& backend) : bench_(bench), backend_(backend) {
    peak_bytes();
    if (!bench_.json) std::printf("%-52s %10s %10s %12s %10s\n", "", "seconds", "CPU s", "weights GiB", "peak GiB");
  }

  /// `weights`: of the network that `act` loads or uses.
  template <class Act>
  void operator()(const std::string& what, const Weights& weights, Act act) const {
    backend_.finish();
    const auto start = std::chrono::steady_clock::now();
    const double cpu_start = process_cpu_seconds();
    act();
    backend_.finish();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), cpu = process_cpu_seconds() - cpu_start;
    const double kept = double(weights.bytes()), peak = peak_bytes();
    if (bench_.json)
      std::printf("%s\n", Json{{"model", bench_.model}, {"phase", what}, {"threads", omp_get_max_threads()},
                                 {"seconds", seconds}, {"cpu_seconds", cpu},
                               {"weight_bytes", kept}, {"peak_bytes", peak}}.dump().c_str());
    else std::printf("%-52s %10.4g %10.4g %12.2f %10.2f\n", what.c_str(), seconds, cpu, gib(kept), gib(peak));
    std::fflush(stdout);
  }

 private:
  const NetworkBench& bench_;
  Backend& backend_;
};

/// A published model, as far as its networks' work depends on it.
struct Published {
  const char* name;
  int64_t height, width, frames, tokens;
  int64_t vocabulary;   ///< of its T5: v1.1, or multilingual
  void (*step)(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines);
  void (*decode)(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines);
};

/// "a of b pairs" where not all are there.
std::string share_of(int64_t count, int64_t all, const char* what) { return count == all ? "" : concat(", ", count, " of ", all, ' ', what); }

void encode_text(const Published& model, const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  T5Config config;
  config.vocab_size = model.vocabulary;
  const int64_t all = config.num_layers;
  if (size.text_layers) config.num_layers = size.text_layers;
  const Weights weights = Weights::random(backend, storage);
  std::optional<T5Encoder> encoder;
  const std::string name = concat("T5, vocabulary of ", config.vocab_size, share_of(config.num_layers, all, "layers"));
  lines(name + ": load", weights, [&] { encoder.emplace(weights, config); });
  const std::vector<int64_t> ids(size_t(size.tokens), 7), mask(size_t(size.tokens), 1);
  lines(concat(name, ": ", size.tokens, " tokens"), weights, [&] { (*encoder)(ids, mask, 1); });
}

// ---- Open-Sora v1.2

int64_t open_sora_latents(int64_t frames) { return frames / 17 * 5 + (frames % 17 + 3) / 4; }

void open_sora_step(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  Stdit3Config config = Stdit3Config::from_json(
      {{"hidden_size", 1152}, {"depth", 28}, {"num_heads", 16}, {"caption_channels", 4096}, {"qk_norm", true}}, "bench");
  const int64_t all = config.depth;
  if (size.blocks) config.depth = size.blocks;
  const Weights weights = Weights::random(backend, storage);
  std::optional<Stdit3> network;
  const std::string name = concat("STDiT3-XL/2", share_of(config.depth, all, "pairs"));
  lines(name + ": load", weights, [&] { network.emplace(weights, config); });
  const CaptionTokens caption = network->embed_caption(random_input(backend, {size.halves, size.tokens, config.caption_channels}), {});
  Stdit3Conditioning conditioning;
  conditioning.timesteps.assign(size_t(size.halves), 500);
  conditioning.fps.assign(size_t(size.halves), 24);
  conditioning.height = float(size.height);
  conditioning.width = float(size.width);
  const auto alone = make_lone_communicator();
  Run run(*alone, BroadcastSchedule(int(size.steps), int(config.depth)));
  const Tensor x = random_input(backend, {size.halves, 4, open_sora_latents(size.frames), size.height / 8, size.width / 8});
  for (int step = 0; step < size.steps; ++step)
    lines(concat(name, ": evaluation, batch ", size.halves), weights, [&] {
      run.begin(step);
      (*network)(x, conditioning, caption, run);
    });
}

void open_sora_decode(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  // What the published VAE's config.json says; the weights hold the factors a second time.
  const std::vector<float> scale{3.85f, 2.32f, 2.33f, 3.06f}, shift{-0.1f, 0.34f, 0.27f, 0.98f};
  const Json published{{"micro_frame_size", 17}, {"scale", scale}, {"shift", shift}, {"vae_2d", {{"micro_batch_size", 4}}}};
  const StoredTensors factors{{"scale", {DType::float32, {1, 4, 1, 1, 1}, std::as_bytes(std::span(scale)), nullptr, "bench"}},
                              {"shift", {DType::float32, {1, 4, 1, 1, 1}, std::as_bytes(std::span(shift)), nullptr, "bench"}}};
  const Weights weights = Weights::random(backend, storage, factors);
  std::optional<OpenSoraVae> vae;
  lines("VAE: load", weights, [&] { vae.emplace(weights, OpenSoraVaeConfig::from_json(published, "bench")); });
  const Tensor z = random_input(backend, vae->latent_shape(1, size.frames, size.height, size.width));
  lines(concat("VAE: decode ", counted(size.frames, "frame")), weights, [&] { vae->decode(z, size.frames); });
}

// ---- Latte-1 and Open-Sora-Plan

/// An evaluation of a network whose tokens are made of `latent_frames`; `masked`: it is told which tokens of the text count.
template <class Network, class Config>
void step(const Config& config, const LatteConfig& sizes, int64_t all_blocks, const char* blocks, int64_t latent_frames, bool masked,
          const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  const Weights weights = Weights::random(backend, storage);
  std::optional<Network> network;
  const std::string name = concat("transformer", share_of(sizes.layers, all_blocks, blocks));
  lines(name + ": load", weights, [&] { network.emplace(weights, config); });
  const auto mask = masked ? std::vector<int64_t>(size_t(size.halves * size.tokens), 1) : std::vector<int64_t>();
  const LatteCaption caption = network->embed_caption(random_input(backend, {size.halves, size.tokens, sizes.caption_channels}), mask);
  const auto alone = make_lone_communicator();
  Run run(*alone, BroadcastSchedule(int(size.steps), int(sizes.layers)));
  const Tensor x = random_input(backend, {size.halves, sizes.in_channels, latent_frames, size.height / 8, size.width / 8});
  const std::vector<float> timesteps(size_t(size.halves), 500);
  for (int step = 0; step < size.steps; ++step)
    lines(concat(name, ": evaluation, batch ", size.halves), weights, [&] {
      run.begin(step);
      (*network)(x, timesteps, caption, run);
    });
}

/// Pairs of blocks whose positions along time are those of so many latent frames.
void latte_step_of(int64_t latent_frames, const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  LatteConfig config;
  config.video_length = latent_frames;
  const int64_t all = config.layers;
  if (size.blocks) config.layers = size.blocks;
  step<Latte>(config, config, all, "pairs", latent_frames, false, size, backend, storage, lines);
}

void latte_step(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  latte_step_of(size.frames, size, backend, storage, lines);
}

void open_sora_plan_110_step(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  latte_step_of(causal_latents(size.frames), size, backend, storage, lines);
}

void open_sora_plan_120_step(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  OpenSoraT2vConfig config;
  config.sizes.heads = 24;
  config.sizes.head_size = 96;
  config.sizes.layers = 32;
  config.sizes.out_channels = 4;
  config.sizes.use_rope = true;
  config.sample_height = size.height / 8;
  config.sample_width = size.width / 8;
  config.sample_frames = causal_latents(size.frames);
  const int64_t all = config.sizes.layers;
  if (size.blocks) config.sizes.layers = size.blocks;
  step<OpenSoraT2v>(config, config.sizes, all, "blocks", config.sample_frames, true, size, backend, storage, lines);
}

void decode(VideoDecoder& decoder, int64_t latent_frames, const Weights& weights, const NetworkBench& size, Backend& backend, const Lines& lines) {
  const auto alone = make_lone_communicator();
  const Tensor latents = random_input(backend, {1, 4, latent_frames, size.height / 8, size.width / 8});
  lines(concat("VAE: decode ", counted(size.frames, "frame")), weights, [&] { decoder(latents, *alone); });
}

void latte_decode(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  const Weights weights = Weights::random(backend, storage);
  VideoDecoder decoder;
  lines("temporal VAE: load", weights, [&] { decoder.vae = AutoencoderKlTemporalDecoder(weights, AutoencoderKlConfig()); });
  decode(decoder, size.frames, weights, size, backend, lines);
}

void causal_decode(bool v120, const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  CausalVaeConfig config;
  config.encoder_resnet_blocks = {"ResnetBlock2D", "ResnetBlock2D", "ResnetBlock3D", "ResnetBlock3D"};
  config.decoder_resnet_blocks.assign(4, "ResnetBlock3D");
  const std::vector<std::string> none(4);
  config.encoder_spatial_downsample = {"Downsample", "Downsample", "Downsample", ""};
  config.encoder_temporal_downsample = {"", "TimeDownsampleRes2x", "TimeDownsampleRes2x", ""};
  config.decoder_spatial_upsample = {"", "SpatialUpsample2x", "SpatialUpsample2x", "SpatialUpsample2x"};
  config.decoder_temporal_upsample = {"", "", "TimeUpsampleRes2x", "TimeUpsampleRes2x"};
  if (v120) {
    config.encoder_spatial_downsample = {"Downsample", "Spatial2xTime2x3DDownsample", "Spatial2xTime2x3DDownsample", ""};
    config.decoder_spatial_upsample = {"", "SpatialUpsample2x", "Spatial2xTime2x3DUpsample", "Spatial2xTime2x3DUpsample"};
    config.encoder_temporal_downsample = config.decoder_temporal_upsample = none;
  }
  const Weights weights = Weights::random(backend, storage);
  VideoDecoder decoder;
  decoder.tiling = CausalVaeTiling{512, 64, 29, 8, 0.25};   // the published pipelines'
  lines("causal VAE: load", weights, [&] { decoder.vae = CausalVae(weights, config); });
  decode(decoder, causal_latents(size.frames), weights, size, backend, lines);
}

void open_sora_plan_110_decode(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  causal_decode(false, size, backend, storage, lines);
}

void open_sora_plan_120_decode(const NetworkBench& size, Backend& backend, WeightStorage storage, const Lines& lines) {
  causal_decode(true, size, backend, storage, lines);
}

constexpr Published published[] = {
    {"opensora-1.2", 240, 426, 51, 300, 32128, open_sora_step, open_sora_decode},
    {"latte-1", 512, 512, 16, 120, 32128, latte_step, latte_decode},
    {"osp-1.1", 512, 512, 65, 300, 32128, open_sora_plan_110_step, open_sora_plan_110_decode},
    {"osp-1.2", 480, 640, 29, 512, 250112, open_sora_plan_120_step, open_sora_plan_120_decode},
};

const Published& published_model(const std::string& name) {
  std::string known;
  for (const Published& model : published) {
    if (name == model.name) return model;
    known += concat(known.empty() ? "" : ", ", model.name);
  }
  fail("model is \"", name, "\", expected one of ", known);
}

}  // namespace

NetworkBench sized(NetworkBench size) {
  const Published& model = published_model(size.model);
  if (!size.height) size.height = model.height;
  if (!size.width) size.width = model.width;
  if (!size.frames) size.frames = model.frames;
  if (!size.tokens) size.tokens = model.tokens;
  require(size.height >= 16 && size.width >= 16 && size.frames >= 1 && size.tokens >= 1 && size.steps >= 1, "a video of ", size.height, " x ",
          size.width, " pixels, ", counted(size.frames, "frame"), ", ", size.tokens, " tokens and ", size.steps,
          " steps: expected at least 16 x 16, 1, 1 and 1");
  require(size.halves == 1 || size.halves == 2, "halves is ", size.halves, ", expected 2, or 1: the evaluation without guidance");
  require(size.blocks >= 0 && size.text_layers >= 0, "blocks is ", size.blocks, " and text-layers ", size.text_layers, ", expected 0 (all) or more");
  return size;
}

void bench_networks(const NetworkBench& size, Backend& backend, WeightStorage storage) {
  const Published& model = published_model(size.model);
  if (!size.json)
    std::printf("%s, %s, %d threads, %lld x %lld, %lld frames\n", model.name, backend.name().c_str(), omp_get_max_threads(), (long long)size.height,
                (long long)size.width, (long long)size.frames);
  const Lines lines(size, backend);
  if (size.step) model.step(size, backend, storage, lines);
  if (size.decode) model.decode(size, backend, storage, lines);
  if (size.text) encode_text(model, size, backend, storage, lines);
}

}  // namespace pyracast
