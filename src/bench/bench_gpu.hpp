#pragma once
#include "base/json.hpp"
#include "bench/bench_stages.hpp"

namespace pyracast {

/// A stage on a GPU. Its time is wall time from an idle device to an idle device, of so many runs in a row that starting and waiting do not count.
class GpuStage {
 public:
  /// Runs it some times: loads kernels, fills the pool, chooses algorithms.
  GpuStage(const BenchStage& stage, Backend& backend, WeightStorage storage);

  /// Seconds of a run.
  double measure() const;
  /// What a table says of such seconds.
  Json row(double seconds) const;
  /// How many runs measure() times.
  int runs() const { return runs_; }

 private:
  const BenchStage& stage_;
  Backend& backend_;
  std::function<void()> run_;
  int runs_ = 1;

  double seconds_of(int runs) const;
};

/// Times stages on a GPU. `report` sees a row for each stage.
void bench_stages_on_gpu(const std::vector<BenchStage>& stages, Backend& backend, WeightStorage storage, int repeats,
                         const std::function<void(const Json& row)>& report);

}  // namespace pyracast
