#include "jobs/open_backend.hpp"

#include "base/error.hpp"

namespace pyracast {

CpuIsa isa_of(const std::string& name) {
  if (name == "auto") return CpuIsa::automatic;
  if (name == "portable") return CpuIsa::portable;
  if (name == "avx2") return CpuIsa::avx2;
  if (name == "avx512") return CpuIsa::avx512;
  fail("cpu-isa is \"", name, "\", expected auto, portable, avx2 or avx512");
}

std::unique_ptr<Backend> open_backend(const std::string& device, const std::string& dtype, CpuIsa isa, int gpu) {
  if (device == "cuda") return make_cuda_backend(gpu, dtype == "bfloat16" ? CudaPrecision::bfloat16 : CudaPrecision::float32);
  require(device == "cpu", "device is \"", device, "\", expected cpu or cuda");
  return make_cpu_backend(isa);
}

}  // namespace pyracast
