#include <atomic>
#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

std::function<bool()> CpuBackend::all_finite(View x) {
  const float* values = cpu::floats(x);
  std::atomic<bool> finite = true;
  cpu::parallel_pieces(x.size(), 1, [&](int64_t begin, int64_t end) {
    if (!std::all_of(values + begin, values + end, [](float value) { return std::isfinite(value); })) finite = false;
  });
  return [answer = finite.load()] { return answer; };
}

}  // namespace pyracast
