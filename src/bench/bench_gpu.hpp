#pragma once
#include "base/json.hpp"
#include "bench/bench_stages.hpp"

namespace pyracast {

/// Times stages on a GPU: wall time from an idle device to an idle device, of so many runs in a row that starting and
/// waiting do not count. `report` sees a row for each stage.
void bench_stages_on_gpu(const std::vector<BenchStage>& stages, Backend& backend, WeightStorage storage, int repeats,
                         const std::function<void(const Json& row)>& report);

}  // namespace pyracast
