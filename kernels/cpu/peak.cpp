#include "kernels/cpu/peak.hpp"

#include <omp.h>
#include <time.h>

#include <cstring>

#include "base/error.hpp"
#include "kernels/cpu/amx.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

namespace {

double seconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

/// The best of `runs` runs of `work` that is done once a run, a second of `clock`.
template <class F>
double best_rate(int runs, double work, clockid_t clock, F run) {
  double best = 0;
  for (int i = 0; i < runs; ++i) {
    const double start = seconds(clock);
    run();
    best = std::max(best, work / (seconds(clock) - start));
  }
  return best;
}

constexpr int64_t rounds = 1 << 20, tile_rounds = 1 << 16;   // each sum stays below 2^24, so that all are exact

/// The loop of multiply-adds on each of `threads` threads, which must add up to what so many give.
void multiply_add(const cpu::Simd& simd, int threads) {
  double sum = 0;
#pragma omp parallel num_threads(threads) reduction(+ : sum)
  sum += double(simd.amx ? simd.amx->multiply_ones(tile_rounds) : simd.multiply_adds(rounds));
  const double expected = double(threads) * (simd.amx ? 128. * tile_rounds : double(rounds) * simd.fma_lanes);
  require(sum == expected, "the peak loop added up ", sum, ", expected ", expected);
}

double flop(const cpu::Simd& simd, int threads) {
  return threads * (simd.amx ? double(tile_rounds) * cpu::Amx::flop_of_round : 2.0 * double(rounds) * simd.fma_lanes);
}

}  // namespace

double thread_cpu_seconds() { return seconds(CLOCK_THREAD_CPUTIME_ID); }
double process_cpu_seconds() { return seconds(CLOCK_PROCESS_CPUTIME_ID); }

double measured_flop_rate(CpuIsa isa) {
  const auto backend = make_cpu_backend(isa);
  const cpu::Simd& simd = static_cast<CpuBackend&>(*backend).simd();
  return best_rate(5, flop(simd, 1), CLOCK_THREAD_CPUTIME_ID, [&] { multiply_add(simd, 1); });
}

double measured_flop_rate_of_all_threads(CpuIsa isa) {
  const auto backend = make_cpu_backend(isa);
  const cpu::Simd& simd = static_cast<CpuBackend&>(*backend).simd();
  const int threads = omp_get_max_threads();
  return best_rate(20, flop(simd, threads), CLOCK_MONOTONIC, [&] { multiply_add(simd, threads); });
}

double measured_copy_rate() {
  constexpr size_t bytes = size_t(1) << 27;
  std::vector<char> from(bytes, 1), to(bytes, 0);
  return best_rate(3, 2.0 * double(bytes), CLOCK_THREAD_CPUTIME_ID, [&] { std::memcpy(to.data(), from.data(), bytes); });
}

}  // namespace pyracast
