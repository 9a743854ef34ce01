#include "jobs/open_backend.hpp"

#include "base/error.hpp"

namespace pyracast {

CpuIsa isa_of(const std::string& name) {
  if (name == "auto") return CpuIsa::automatic;
  if (name == "portable") return CpuIsa::portable;
  if (name == "avx2") return CpuIsa::avx2;
  if (name == "avx512") return CpuIsa::avx512;
  if (name == "avx512vnni") return CpuIsa::avx512vnni;
  if (name == "amx") return CpuIsa::amx;
  fail("cpu-isa is \"", name, "\", expected auto, portable, avx2, avx512, avx512vnni or amx");
}

std::unique_ptr<Backend> open_backend(const std::string& device, const std::string& dtype, CpuIsa isa, int gpu) {
  if (device == "cuda") return make_cuda_backend(gpu, dtype == "bfloat16" ? CudaPrecision::bfloat16 : CudaPrecision::float32);
  require(device == "cpu", "device is \"", device, "\", expected cpu or cuda");
  return make_cpu_backend(isa);
}

WeightStorage weight_storage(const std::string& device, const std::string& dtype) {
  if (dtype == "auto") return {.dtype = {}, .block_floats = device == "cpu"};
  require(dtype == "float32" || dtype == "bfloat16", "dtype is \"", dtype, "\", expected float32, bfloat16 or auto");
  return {.dtype = dtype == "float32" ? DType::float32 : DType::bfloat16};
}

}  // namespace pyracast
