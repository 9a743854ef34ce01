#pragma once
#include "kernels/planning_backend.hpp"
#include "nn/weights.hpp"

namespace pyracast {

/// auto, portable, avx2, avx512, avx512vnni or amx. Throws Error on another name.
CpuIsa isa_of(const std::string& name);

/// auto, cudnn or own. Throws Error on another name.
CudaAttention gpu_attention_of(const std::string& name);

/// The device "cpu", or GPU `gpu` for "cuda", which computes in float32 where dtype says so, else in bfloat16. Throws Error on a name that does
/// not exist or a device that is not there.
std::unique_ptr<Backend> open_backend(const std::string& device, const std::string& dtype, CpuIsa isa, CudaAttention attention, int gpu = 0);

/// Throws Error on a number of threads (0: automatic) that no run takes.
void check_threads(int threads);

/// How weights are kept and multiplied: "float32" or "bfloat16"; "fp8", on a GPU those of blocks in float8; or "auto",
/// on the CPU in block floating point, on a GPU in bfloat16.
/// Throws Error on a type that does not exist.
WeightStorage weight_storage(const std::string& device, const std::string& dtype);

/// That device as memory is planned for it.
PlannedDevice planned_device(const std::string& device, const std::string& dtype);

}  // namespace pyracast
