// `pyracast bench`: text encoding, one denoising step and one decoding at published sizes, with random weights.
#include <omp.h>

#include <chrono>
#include <cstdio>
#include <fstream>

#include "base/config.hpp"
#include "jobs/jobs.hpp"
#include "models/open_sora_vae.hpp"
#include "models/stdit3.hpp"
#include "models/t5.hpp"

namespace pyracast {

namespace {

struct BenchSettings {
  std::filesystem::path config;
  int64_t height = 240, width = 426, frames = 51, tokens = 300, text_layers = 24;
  int threads = 0, steps = 1;
  std::string dtype = "bfloat16", phases = "text,step,decode";

  template <class Visit>
  static void fields(Visit&& visit, BenchSettings& s) {
    visit("Bench", "config", s.config, "file of `key = value` settings");
    visit("Bench", "phases", s.phases, "what to time, comma between: text, step, decode");
    visit("Bench", "height", s.height, "pixels");
    visit("Bench", "width", s.width, "pixels");
    visit("Bench", "frames", s.frames, "frames");
    visit("Bench", "tokens", s.tokens, "tokens of the prompt");
    visit("Bench", "text-layers", s.text_layers, "layers of T5 v1.1 XXL (24 are published)");
    visit("Bench", "steps", s.steps, "denoising steps to time");
    visit("Bench", "dtype", s.dtype, "how weights are kept: float32 or bfloat16");
    visit("Bench", "threads", s.threads, "OpenMP threads; 0: all");
  }
};

/// The largest resident memory since the last call, in GiB (VmHWM of proc(5), reset through clear_refs).
double peak_gib() {
  double kib = 0;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) kib = std::stod(line.substr(6));
  std::ofstream("/proc/self/clear_refs") << "5";
  return kib / (1 << 20);
}

template <class Act>
void timed(const char* name, Act act) {
  const auto start = std::chrono::steady_clock::now();
  act();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  std::printf("%-28s %9.2f s   peak %6.2f GiB\n", name, seconds, peak_gib());
  std::fflush(stdout);
}

Tensor random_input(Backend& backend, const Shape& shape) {
  std::vector<float> values(size_t(size_of(shape)));
  for (size_t i = 0; i < values.size(); ++i) values[i] = float(int64_t(i * 2654435761u % 2001) - 1000) / 1000;
  return Tensor(backend, shape, values);
}

void bench_text(const BenchSettings& s, Backend& backend, WeightStorage storage) {
  T5Config config;
  config.num_layers = s.text_layers;
  std::optional<T5Encoder> encoder;
  timed("T5: load", [&] { encoder.emplace(Weights::random(backend, storage), config); });
  const std::vector<int64_t> ids(size_t(s.tokens), 7), mask(size_t(s.tokens), 1);
  timed("T5: encode a prompt", [&] { (*encoder)(ids, mask, 1); });
}

void bench_step(const BenchSettings& s, Backend& backend, WeightStorage storage, const Shape& latents) {
  const Stdit3Config config = Stdit3Config::from_json(
      {{"hidden_size", 1152}, {"depth", 28}, {"num_heads", 16}, {"caption_channels", 4096}, {"qk_norm", true}}, "bench");
  std::optional<Stdit3> network;
  timed("STDiT3-XL/2: load", [&] { network.emplace(Weights::random(backend, storage), config); });
  const CaptionTokens caption = network->embed_caption(random_input(backend, {2, s.tokens, config.caption_channels}), {});
  Stdit3Conditioning conditioning;
  conditioning.timesteps.assign(2, 500);
  conditioning.fps.assign(2, 24);
  conditioning.height = float(s.height);
  conditioning.width = float(s.width);
  const BroadcastSchedule schedule(int(s.steps), int(config.depth));
  const auto alone = make_lone_communicator();
  Run run(*alone, schedule);
  const Tensor x = random_input(backend, {2, latents[1], latents[2], latents[3], latents[4]});
  for (int step = 0; step < s.steps; ++step)
    timed("STDiT3-XL/2: one step, batch 2", [&] {
      run.begin(step);
      (*network)(x, conditioning, caption, run);
    });
}

void bench_decode(const BenchSettings& s, Backend& backend, const StoredTensors& factors, WeightStorage storage, const Json& published) {
  std::optional<OpenSoraVae> vae;
  timed("VAE: load", [&] { vae.emplace(Weights::random(backend, storage, factors), OpenSoraVaeConfig::from_json(published, "bench")); });
  const Tensor z = random_input(backend, vae->latent_shape(1, s.frames, s.height, s.width));
  timed("VAE: decode", [&] { vae->decode(z, s.frames); });
}

}  // namespace

int bench(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast bench [settings]\n\n%s", describe(settings_of<BenchSettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<BenchSettings>(argc, argv);
  if (settings.threads > 0) omp_set_num_threads(settings.threads);
  require(settings.dtype == "float32" || settings.dtype == "bfloat16", "dtype is \"", settings.dtype, "\", expected float32 or bfloat16");
  const auto backend = make_cpu_backend();
  const WeightStorage storage{settings.dtype == "float32" ? DType::float32 : DType::bfloat16};
  std::printf("%s, %d threads, %lld x %lld, %lld frames, %s weights\n", backend->name().c_str(), omp_get_max_threads(),
              (long long)settings.height, (long long)settings.width, (long long)settings.frames, settings.dtype.c_str());

  // What the published VAE's config.json says; the weights hold the factors a second time.
  const std::vector<float> scale{3.85f, 2.32f, 2.33f, 3.06f}, shift{-0.1f, 0.34f, 0.27f, 0.98f};
  const Json published{{"micro_frame_size", 17}, {"scale", scale}, {"shift", shift}, {"vae_2d", {{"micro_batch_size", 4}}}};
  const StoredTensors factors{{"scale", {DType::float32, {1, 4, 1, 1, 1}, std::as_bytes(std::span(scale)), nullptr, "bench"}},
                              {"shift", {DType::float32, {1, 4, 1, 1, 1}, std::as_bytes(std::span(shift)), nullptr, "bench"}}};
  const auto wanted = [&](const char* phase) { return ("," + settings.phases + ",").find(concat(',', phase, ',')) != std::string::npos; };
  const int64_t chunks = settings.frames / 17, rest = settings.frames % 17;
  const Shape latents{1, 4, chunks * 5 + (rest + 3) / 4, settings.height / 8, settings.width / 8};
  if (wanted("step")) bench_step(settings, *backend, storage, latents);
  if (wanted("decode")) bench_decode(settings, *backend, factors, storage, published);
  if (wanted("text")) bench_text(settings, *backend, storage);
  return 0;
}

}  // namespace pyracast
