#include "kernels/cpu/peak.hpp"

#include <time.h>

#include <cstring>

#include "base/error.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

namespace {

double cpu_seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

/// The best of `runs` runs of `work` that is done once a run, a second of thread CPU time.
template <class F>
double best_rate(int runs, double work, F run) {
  double best = 0;
  for (int i = 0; i < runs; ++i) {
    const double start = thread_cpu_seconds();
    run();
    best = std::max(best, work / (thread_cpu_seconds() - start));
  }
  return best;
}

}  // namespace

double thread_cpu_seconds() { return cpu_seconds(CLOCK_THREAD_CPUTIME_ID); }
double process_cpu_seconds() { return cpu_seconds(CLOCK_PROCESS_CPUTIME_ID); }

double measured_flop_rate(CpuIsa isa) {
  constexpr int64_t rounds = 1 << 20;   // each number stays below 2^24, so that all sums are exact
  const auto backend = make_cpu_backend(isa);
  const cpu::Simd& simd = static_cast<CpuBackend&>(*backend).simd();
  return best_rate(5, 2.0 * double(rounds) * simd.fma_lanes, [&] {
    const float sum = simd.multiply_adds(rounds);
    require(sum == float(rounds) * float(simd.fma_lanes), "the peak loop added up ", sum, ", expected ",
            float(rounds) * float(simd.fma_lanes));
  });
}

double measured_copy_rate() {
  constexpr size_t bytes = size_t(1) << 27;
  std::vector<char> from(bytes, 1), to(bytes, 0);
  return best_rate(3, 2.0 * double(bytes), [&] { std::memcpy(to.data(), from.data(), bytes); });
}

}  // namespace pyracast
