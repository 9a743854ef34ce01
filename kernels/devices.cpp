#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include "base/error.hpp"
#include "kernels/cpu/amx.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

namespace {

/// amx_is_kept_from_us_by(). The system gives the tiles' state, 8 KiB, to a process that asks for it (Linux 5.16, Documentation/x86/xstate.rst); all
/// of its threads may use them from then on.
std::string what_keeps_amx() {
#if defined(__x86_64__)
  unsigned a = 0, b = 0, c = 0, d = 0;
  constexpr unsigned tiles_and_bfloat16 = 1u << 24 | 1u << 22, avx512_bfloat16 = 1u << 5, system_saves = 1u << 27;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & tiles_and_bfloat16) != tiles_and_bfloat16) return "this processor has no AMX with bfloat16";
  if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & avx512_bfloat16)) return "this processor has no AVX-512 with bfloat16 beside AMX";
  if (!__builtin_cpu_supports("avx512vnni") || !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq"))
    return "this processor has no AVX-512 with VNNI beside AMX";
  unsigned saved = 0, high = 0;
  constexpr unsigned tile_state = 1u << 17 | 1u << 18;
  if (__get_cpuid(1, &a, &b, &c, &d) && (c & system_saves)) asm("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  if ((saved & tile_state) != tile_state) return "the system does not keep the state of AMX's tiles (Linux before 5.16?)";
  constexpr long request_permission = 0x1023, tile_data = 18;   // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA: not in older headers
  if (::syscall(SYS_arch_prctl, request_permission, tile_data) != 0) return "the system does not let this process use AMX";
  return "";
#else
  return "this processor has no AMX";
#endif
}

const cpu::Simd& simd_amx() {
  static const cpu::Simd table = [] {
    cpu::Simd all = cpu::simd_avx512vnni();
    all.name = "amx";
    all.amx = &cpu::amx_tiles();
    return all;
  }();
  return table;
}

}  // namespace

// Asked once: jobs want to know for every sample, and under a hypervisor each question to the processor is an exit.
std::string amx_is_kept_from_us_by() {
  static const std::string answer = what_keeps_amx();
  return answer;
}

std::unique_ptr<Backend> make_cpu_backend(CpuIsa isa) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq");
  const bool vnni = avx512 && __builtin_cpu_supports("avx512vnni");
  if (isa == CpuIsa::automatic)
    isa = vnni ? CpuIsa::avx512vnni : avx512 ? CpuIsa::avx512 : avx2 ? CpuIsa::avx2 : CpuIsa::portable;
  if (isa == CpuIsa::amx) {
    const std::string no_amx = amx_is_kept_from_us_by();
    require(no_amx.empty(), no_amx, ": use --dtype bfp16");
  }
  require(isa != CpuIsa::avx512vnni || vnni, "this processor has no AVX-512 with VNNI: use --cpu-isa avx512, avx2 or portable");
  require(isa != CpuIsa::avx512 || avx512, "this processor has no AVX-512 (F, VL, BW, DQ): use --cpu-isa avx2 or portable");
  require(isa != CpuIsa::avx2 || avx2, "this processor has no AVX2 with FMA: use --cpu-isa portable");
  const cpu::Simd& simd = [isa]() -> const cpu::Simd& {
    switch (isa) {
      case CpuIsa::amx: return simd_amx();
      case CpuIsa::avx512vnni: return cpu::simd_avx512vnni();
      case CpuIsa::avx512: return cpu::simd_avx512();
      case CpuIsa::avx2: return cpu::simd_avx2();
      default: return cpu::simd_portable();
    }
  }();
  return std::make_unique<CpuBackend>(simd);
}

}  // namespace pyracast
