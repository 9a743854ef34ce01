#pragma once
#include "kernels/planning_backend.hpp"
#include "nn/weights.hpp"

namespace pyracast {

/// auto, portable, avx2, avx512 or avx512vnni. Throws Error on another name.
CpuIsa isa_of(const std::string& name);

/// auto, cudnn or own. Throws Error on another name.
CudaAttention gpu_attention_of(const std::string& name);

/// What a `dtype` of "auto" means on this machine: on the CPU "amx" where an `isa` of automatic finds AMX, else "bfp16"; on a GPU "bfloat16". Others
/// are as given. Throws Error on a type that does not exist, or not there.
std::string resolved_dtype(const std::string& device, const std::string& dtype, CpuIsa isa);

/// The device "cpu", or GPU `gpu` for "cuda", which computes in float32 where dtype says so, else in bfloat16. Throws Error on a name that does
/// not exist or a device that is not there.
std::unique_ptr<Backend> open_backend(const std::string& device, const std::string& dtype, CpuIsa isa, CudaAttention attention, int gpu = 0);

/// Throws Error on a number of threads (0: automatic) that no run takes.
void check_threads(int threads);

/// How weights are kept and multiplied: "float32" or "bfloat16"; on a GPU "fp8", those of blocks in float8; on the CPU "bfp16", in block floating
/// point, or "amx", in AMX's tiles, which this machine need not have; or "auto" (resolved_dtype()). Throws Error on a type that does not exist.
WeightStorage weight_storage(const std::string& device, const std::string& dtype, CpuIsa isa);

/// That device as memory is planned for it.
PlannedDevice planned_device(const std::string& device, const std::string& dtype);

}  // namespace pyracast
