#include "bench/bench_gpu.hpp"

#include <algorithm>

#include "base/stopwatch.hpp"

namespace pyracast {

GpuStage::GpuStage(const BenchStage& stage, Backend& backend, WeightStorage storage)
    : stage_(stage), backend_(backend), run_(stage.prepare(backend, storage)) {
  constexpr double long_enough = 0.05;
  seconds_of(3);
  runs_ = int(std::clamp(long_enough / seconds_of(1), 1.0, 1000.0));
}

double GpuStage::measure() const { return seconds_of(runs_); }

Json GpuStage::row(double seconds) const {
  const double element = double(size_of(backend_.activations())) / 4;   // the stages count float32's bytes
  return {{"stage", stage_.name}, {"wall_seconds", seconds}, {"gflop", stage_.flop / 1e9}, {"tflop_per_second", stage_.flop / seconds / 1e12},
          {"gbyte_per_second", element * stage_.bytes / seconds / 1e9}};
}

double GpuStage::seconds_of(int runs) const {
  backend_.finish();
  const Stopwatch time;
  for (int i = 0; i < runs; ++i) run_();
  backend_.finish();
  return time.seconds() / runs;
}

void bench_stages_on_gpu(const std::vector<BenchStage>& stages, Backend& backend, WeightStorage storage, int repeats,
                         const std::function<void(const Json& row)>& report) {
  for (const BenchStage& each : stages) {
    const GpuStage stage(each, backend, storage);
    std::vector<double> seconds;
    for (int i = 0; i < repeats; ++i) seconds.push_back(stage.measure());
    std::sort(seconds.begin(), seconds.end());
    Json row = stage.row(seconds[seconds.size() / 2]);
    row.update({{"least", seconds.front()}, {"most", seconds.back()}, {"runs", stage.runs() * repeats}});
    report(row);
  }
}

}  // namespace pyracast
