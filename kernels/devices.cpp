#include "base/error.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

std::unique_ptr<Backend> make_cpu_backend(CpuIsa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  if (isa == CpuIsa::automatic) isa = vnni ? CpuIsa::avx512vnni : avx512 ? CpuIsa::avx512 : avx2 ? CpuIsa::avx2 : CpuIsa::portable;
  require(isa != CpuIsa::avx512vnni || vnni, "this processor has no AVX-512 with VNNI: use --cpu-isa avx512, avx2 or portable");
  require(isa != CpuIsa::avx512 || avx512, "this processor has no AVX-512 (F, VL, BW, DQ): use --cpu-isa avx2 or portable");
  require(isa != CpuIsa::avx2 || avx2, "this processor has no AVX2 with FMA: use --cpu-isa portable");
  return std::make_unique<CpuBackend>(isa == CpuIsa::avx512vnni ? cpu::simd_avx512vnni()
                                      : isa == CpuIsa::avx512 ? cpu::simd_avx512()
                                      : isa == CpuIsa::avx2 ? cpu::simd_avx2()
                                                            : cpu::simd_portable());
}

}  // namespace pyracast
