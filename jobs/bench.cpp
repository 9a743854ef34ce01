// `pyracast bench`: the stages that the networks are made of, timed beside what the processor can do; and text encoding, a
// denoising step and a decoding of each family at published sizes. Weights are random.
#include <omp.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "base/config.hpp"
#include "base/median.hpp"
#include "bench/bench_gpu.hpp"
#include "bench/bench_networks.hpp"
#include "jobs/jobs.hpp"
#include "kernels/cpu/peak.hpp"
#include "settings/open_backend.hpp"

namespace pyracast {

namespace {

struct BenchSettings {
  std::filesystem::path config;
  std::string phases = "stages", stages = "all", size = "published";
  int repeats = 5;
  bool json = false, on_request = false, without_peaks = false, host_only = false;
  NetworkBench networks;
  int threads = 1;
  std::string dtype = "float32", device = "cpu", cpu_isa = "auto", gpu_attention = "auto";

  template <class Visit>
  static void fields(Visit&& visit, BenchSettings& s) {
    visit("Bench", "config", s.config, "file of `key = value` settings");
    visit("Bench", "phases", s.phases, "what to time, comma between: stages, text, step, decode");
    visit("Bench", "dtype", s.dtype, "as generate's: float32, bfloat16, bfp16 or amx (on a CPU), fp8 (on a GPU), or auto");
    visit("Bench", "device", s.device, "cpu or cuda");
    visit("Bench", "threads", s.threads, "OpenMP threads; 0: all");
    visit("Bench", "cpu-isa", s.cpu_isa, "instruction set: auto, portable, avx2, avx512 or avx512vnni");
    visit("Bench", "gpu-attention", s.gpu_attention, "as generate's: auto, cudnn or own");
    visit("Stages", "stages", s.stages, "names, comma between; a name with * at its end stands for all that begin so; or all");
    visit("Stages", "size", s.size, "published (STDiT3-XL/2 at 240p, AutoencoderKL at 256 x 256, T5 v1.1 XXL), 480p (with guidance), or demo");
    visit("Stages", "repeats", s.repeats, "timed runs of a stage, after one that is not timed");
    visit("Bench", "json", s.json, "JSON instead of tables; of networks a line each");
    visit("Stages", "on-request", s.on_request, "names come line by line on standard input; each is run once and answered by a line of JSON");
    visit("Stages", "without-peaks", s.without_peaks, "measures no rates of the processor: for counting instructions");
    visit("Networks", "host-only", s.host_only,
          "computes nothing: seconds are the host's own work, but for starting kernels, in which a GPU would have to wait for it");
    visit("Networks", "model", s.networks.model, "whose networks: opensora-1.2, latte-1, osp-1.1 or osp-1.2");
    visit("Networks", "height", s.networks.height, "pixels; 0: the published size (Open-Sora: 240 x 426, 51 frames)");
    visit("Networks", "width", s.networks.width, "pixels; 0: the published size");
    visit("Networks", "frames", s.networks.frames, "frames; 0: the published number");
    visit("Networks", "tokens", s.networks.tokens, "tokens of the prompt; 0: as many as the model takes");
    visit("Networks", "blocks", s.networks.blocks, "blocks of the transformer, or pairs of them; 0: all");
    visit("Networks", "text-layers", s.networks.text_layers, "layers of the text encoder; 0: all");
    visit("Networks", "halves", s.networks.halves, "of guidance in an evaluation: 2, or 1");
    visit("Networks", "steps", s.networks.steps, "evaluations to time");
  }
};

/// Runs of a stage, and the rates of the processor measured between them. Seconds are CPU time of all threads, so that other
/// programs on the machine do not count.
class StageTimes {
 public:
  StageTimes(const BenchStage& stage, Backend& backend, WeightStorage storage)
      : stage_(stage), run_(stage.prepare(backend, storage)) {
    run_();
  }

  /// One run, beside the peak in flop a second; NaN, which JSON has as null: not measured.
  void measure(double peak) {
    peaks_.push_back(peak);
    const double start = process_cpu_seconds();
    const auto wall_start = std::chrono::steady_clock::now();
    run_stage(run_);
    seconds_.push_back(process_cpu_seconds() - start);
    wall_.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - wall_start).count());
  }

  Json json() const {
    const double seconds = median(seconds_), peak = median(peaks_), rate = stage_.flop / seconds;
    return {{"stage", stage_.name}, {"cpu_seconds", seconds}, {"latest", seconds_.back()}, {"latest_wall", wall_.back()},
            {"least", *std::min_element(seconds_.begin(), seconds_.end())},
            {"most", *std::max_element(seconds_.begin(), seconds_.end())}, {"wall_seconds", median(wall_)}, {"runs", seconds_.size()},
            {"gflop", stage_.flop / 1e9}, {"gflop_per_second", rate / 1e9}, {"gbyte_per_second", stage_.bytes / seconds / 1e9},
            {"peak_gflop_per_second", peak / 1e9}, {"share_of_peak", rate / peak}};
  }

 private:
  const BenchStage& stage_;
  std::function<void()> run_;
  std::vector<double> seconds_, wall_, peaks_;
};

bool named(const std::string& list, const std::string& name) {
  std::istringstream items(list);
  for (std::string item; std::getline(items, item, ',');) {
    const bool prefix = item.ends_with('*');
    if (item == "all" || item == name || (prefix && name.starts_with(item.substr(0, item.size() - 1)))) return true;
  }
  return false;
}

/// Throws Error where a name of the list stands for nothing.
void check_names(const char* what, const std::string& list, const std::vector<std::string>& known) {
  std::istringstream items(list);
  for (std::string item; std::getline(items, item, ',');)
    require(std::any_of(known.begin(), known.end(), [&](const std::string& name) { return named(item, name); }), what, " names \"", item,
            "\", the nearest is \"", nearest_word(item, known), "\" (\"all\" stands for all)");
}

std::vector<std::string> names_of(const std::vector<BenchStage>& stages) {
  std::vector<std::string> names;
  for (const BenchStage& stage : stages) names.push_back(stage.name);
  return names;
}

/// Answers names on standard input until it ends, so that another program can measure in turns with this one. `prepare(stage)` gives what measures
/// it once.
void answer_requests(const std::vector<BenchStage>& stages, const std::function<std::function<Json()>(const BenchStage&)>& prepare) {
  std::string kept;
  std::function<Json()> measure;
  for (std::string name; std::getline(std::cin, name);) {
    const auto stage = std::find_if(stages.begin(), stages.end(), [&](const BenchStage& s) { return s.name == name; });
    require(stage != stages.end(), "there is no stage \"", name, "\"; without --on-request all are listed");
    if (!measure || kept != name) {
      measure = {};   // one stage's weights at a time
      measure = prepare(*stage);
      kept = name;
    }
    std::cout << measure().dump() << std::endl;
  }
}

void bench_gpu_stages(const BenchSettings& s, Backend& backend, WeightStorage storage) {
  std::vector<BenchStage> stages = bench_stages(bench_sizes(s.size));
  check_names("stages", s.stages, names_of(stages));
  if (s.on_request)
    return answer_requests(stages, [&](const BenchStage& stage) {
      return [prepared = std::make_shared<GpuStage>(stage, backend, storage)] { return prepared->row(prepared->measure()); };
    });
  std::erase_if(stages, [&](const BenchStage& stage) { return !named(s.stages, stage.name); });
  Json all{{"device", backend.name()}, {"size", s.size}, {"dtype", s.dtype}, {"stages", Json::array()}};
  if (!s.json) std::printf("%s\n\n%-30s %12s %9s %9s\n", backend.name().c_str(), "stage", "seconds", "TFLOP/s", "GB/s");
  bench_stages_on_gpu(stages, backend, storage, s.repeats, [&](const Json& row) {
    all["stages"].push_back(row);
    const auto number = [&](const char* key) { return row.at(key).get<double>(); };
    if (!s.json)
      std::printf("%-30s %12.6f %9.1f %9.1f\n", row.at("stage").get<std::string>().c_str(), number("wall_seconds"),
                  number("tflop_per_second"), number("gbyte_per_second"));
    std::fflush(stdout);
  });
  if (s.json) std::printf("%s\n", all.dump(2).c_str());
}

void bench_stages(const BenchSettings& s, Backend& backend, WeightStorage storage) {
  require(s.repeats > 0, "repeats is ", s.repeats, ", expected 1 or more");
  if (s.device == "cuda") return bench_gpu_stages(s, backend, storage);
  const std::string dtype = resolved_dtype(s.device, s.dtype, isa_of(s.cpu_isa));
  const CpuIsa isa = dtype == "amx" ? CpuIsa::amx : isa_of(s.cpu_isa);   // whose peak the stages are held against
  const std::vector<BenchStage> stages = bench_stages(bench_sizes(s.size));
  check_names("stages", s.stages, names_of(stages));
  if (s.on_request)
    return answer_requests(stages, [&](const BenchStage& stage) {
      return [=, times = std::make_shared<StageTimes>(stage, backend, storage)] {
        times->measure(measured_flop_rate(isa));
        Json answer = times->json();
        answer["gflop_per_second_of_all_threads"] = measured_flop_rate_of_all_threads(isa) / 1e9;
        return answer;
      };
    });
  const auto rate = [&] { return s.without_peaks ? NAN : measured_flop_rate(isa); };
  const double peak = rate(), copy = s.without_peaks ? NAN : measured_copy_rate();
  Json all{{"device", backend.name()}, {"threads", omp_get_max_threads()}, {"size", s.size}, {"dtype", dtype},
           {"peak_gflop_per_second", peak / 1e9}, {"copy_gbyte_per_second", copy / 1e9}, {"stages", Json::array()}};
  if (!s.json && !s.without_peaks)
    std::printf("one thread's peak: %.1f GFLOP/s of multiply-adds on %s, %.1f GB/s of copying\n\n", peak / 1e9,
                isa == CpuIsa::amx ? "tiles" : "registers", copy / 1e9);
  if (!s.json) std::printf("%-30s %12s %21s %9s %8s %7s\n", "stage", "CPU s", "least – most", "GFLOP/s", "GB/s", s.without_peaks ? "" : "of peak");
  for (const BenchStage& stage : stages) {
    if (!named(s.stages, stage.name)) continue;
    StageTimes times(stage, backend, storage);
    for (int i = 0; i < s.repeats; ++i) times.measure(rate());
    const Json row = times.json();
    all["stages"].push_back(row);
    const auto number = [&](const char* key) { return row.at(key).get<double>(); };
    if (s.json) continue;
    std::printf("%-30s %12.6f %9.6f – %9.6f %9.1f %8.1f", stage.name.c_str(), number("cpu_seconds"), number("least"), number("most"),
                number("gflop_per_second"), number("gbyte_per_second"));
    if (!s.without_peaks) std::printf(" %6.1f%%", 100 * number("share_of_peak"));
    std::printf("\n");
    std::fflush(stdout);
  }
  if (s.json) std::printf("%s\n", all.dump(2).c_str());
}

}  // namespace

int bench(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast bench [settings]\n\n%s", describe(settings_of<BenchSettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<BenchSettings>(argc, argv);
  check_threads(settings.threads);
  check_names("phases", settings.phases, {"stages", "text", "step", "decode"});
  if (settings.threads > 0) omp_set_num_threads(settings.threads);
  const auto open = [&]() -> std::unique_ptr<Backend> {
    if (settings.host_only) return std::make_unique<PlanningBackend>(planned_device(settings.device, settings.dtype));
    return open_backend(settings.device, settings.dtype, isa_of(settings.cpu_isa), gpu_attention_of(settings.gpu_attention));
  };
  const std::unique_ptr<Backend> backend = open();
  const WeightStorage storage = weight_storage(settings.device, settings.dtype, isa_of(settings.cpu_isa));
  const auto wanted = [&](const char* phase) { return named(settings.phases, phase); };
  require(!settings.host_only || !wanted("stages"), "host-only is for networks: give --phases text,step,decode");
  NetworkBench networks = sized(settings.networks);   // refused before stages are measured for minutes
  if (wanted("stages")) bench_stages(settings, *backend, storage);
  networks.text = wanted("text");
  networks.step = wanted("step");
  networks.decode = wanted("decode");
  networks.json = settings.json;
  if (networks.text || networks.step || networks.decode) bench_networks(networks, *backend, storage);
  return 0;
}

}  // namespace pyracast
