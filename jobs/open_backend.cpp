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

CudaAttention gpu_attention_of(const std::string& name) {
  if (name == "auto") return CudaAttention::automatic;
  if (name == "cudnn") return CudaAttention::cudnn;
  if (name == "own") return CudaAttention::own;
  fail("gpu-attention is \"", name, "\", expected auto, cudnn or own");
}

std::unique_ptr<Backend> open_backend(const std::string& device, const std::string& dtype, CpuIsa isa, CudaAttention attention, int gpu) {
  if (device == "cuda") return make_cuda_backend(gpu, dtype == "float32" ? CudaPrecision::float32 : CudaPrecision::bfloat16, attention);
  require(device == "cpu", "device is \"", device, "\", expected cpu or cuda");
  return make_cpu_backend(isa);
}

void check_threads(int threads) {
  constexpr int most = 1024;   // far more only wait for each other
  require(threads >= 0 && threads <= most, "threads is ", threads, ", expected 0 (automatic) to ", most);
}

WeightStorage weight_storage(const std::string& device, const std::string& dtype) {
  if (dtype == "auto") return device == "cpu" ? WeightStorage{.dtype = {}, .block_floats = true} : WeightStorage{.dtype = DType::bfloat16};
  require(dtype == "float32" || dtype == "bfloat16" || dtype == "fp8", "dtype is \"", dtype, "\", expected float32, bfloat16, fp8 or auto");
  require(dtype != "fp8" || device == "cuda", "dtype is fp8, which a GPU's tensor cores compute in, but device is ", device, ": use --dtype auto");
  return {.dtype = dtype == "float32" ? DType::float32 : DType::bfloat16, .float8 = dtype == "fp8"};
}

PlannedDevice planned_device(const std::string& device, const std::string& dtype) {
  if (device == "cpu") return PlannedDevice::cpu;
  return dtype == "float32" ? PlannedDevice::gpu_float32 : PlannedDevice::gpu_bfloat16;
}

}  // namespace pyracast
