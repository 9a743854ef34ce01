#include "bench/bench_gpu.hpp"

#include <algorithm>

#include "base/stopwatch.hpp"

namespace pyracast {

namespace {

double seconds_of(Backend& backend, int runs, const std::function<void()>& run) {
  backend.finish();
  const Stopwatch time;
  for (int i = 0; i < runs; ++i) run();
  backend.finish();
  return time.seconds() / runs;
}

}  // namespace

void bench_stages_on_gpu(const std::vector<BenchStage>& stages, Backend& backend, WeightStorage storage, int repeats,
                         const std::function<void(const Json& row)>& report) {
  const double element = double(size_of(backend.activations())) / 4;   // the stages count float32's bytes
  for (const BenchStage& stage : stages) {
    const std::function<void()> run = stage.prepare(backend, storage);
    seconds_of(backend, 3, run);   // loads kernels, fills the pool, chooses algorithms
    constexpr double long_enough = 0.05;
    const int runs = int(std::clamp(long_enough / seconds_of(backend, 1, run), 1.0, 1000.0));
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) seconds.push_back(seconds_of(backend, runs, run));
    std::sort(seconds.begin(), seconds.end());
    const double median = seconds[seconds.size() / 2];
    report({{"stage", stage.name}, {"wall_seconds", median}, {"least", seconds.front()}, {"most", seconds.back()}, {"runs", runs * repeats},
            {"gflop", stage.flop / 1e9}, {"tflop_per_second", stage.flop / median / 1e12},
            {"gbyte_per_second", element * stage.bytes / median / 1e9}});
  }
}

}  // namespace pyracast
