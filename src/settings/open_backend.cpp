#include "settings/open_backend.hpp"

#include "base/error.hpp"

namespace pyracast {

CpuIsa isa_of(const std::string& name) {
  if (name == "auto") return CpuIsa::automatic;
  if (name == "portable") return CpuIsa::portable;
  if (name == "avx2") return CpuIsa::avx2;
  if (name == "avx512") return CpuIsa::avx512;
  if (name == "avx512vnni") return CpuIsa::avx512vnni;
  fail("cpu-isa is \"", name, "\", expected auto, portable, avx2, avx512 or avx512vnni");
}

CudaAttention gpu_attention_of(const std::string& name) {
  if (name == "auto") return CudaAttention::automatic;
  if (name == "cudnn") return CudaAttention::cudnn;
  if (name == "own") return CudaAttention::own;
  fail("gpu-attention is \"", name, "\", expected auto, cudnn or own");
}

std::string resolved_dtype(const std::string& device, const std::string& dtype, CpuIsa isa) {
  if (dtype == "auto" && device != "cpu") return "bfloat16";
  if (dtype == "auto") return isa == CpuIsa::automatic && amx_is_kept_from_us_by().empty() ? "amx" : "bfp16";
  const bool everywhere = dtype == "float32" || dtype == "bfloat16", of_cpu = dtype == "bfp16" || dtype == "amx";
  require(everywhere || of_cpu || dtype == "fp8", "dtype is \"", dtype, "\", expected float32, bfloat16, bfp16, amx, fp8 or auto");
  require(dtype != "fp8" || device == "cuda", "dtype is fp8, which a GPU's tensor cores compute in, but device is ", device, ": use --dtype auto");
  require(!of_cpu || device == "cpu", "dtype is ", dtype, ", which a CPU computes in, but device is ", device, ": use --dtype auto");
  require(dtype != "amx" || isa == CpuIsa::automatic, "dtype is amx, which needs --cpu-isa auto: use it, or --dtype bfp16");
  return dtype;
}

std::unique_ptr<Backend> open_backend(const std::string& device, const std::string& dtype, CpuIsa isa, CudaAttention attention, int gpu) {
  if (device == "cuda") return make_cuda_backend(gpu, dtype == "float32" ? CudaPrecision::float32 : CudaPrecision::bfloat16, attention);
  require(device == "cpu", "device is \"", device, "\", expected cpu or cuda");
  return make_cpu_backend(resolved_dtype(device, dtype, isa) == "amx" ? CpuIsa::amx : isa);
}

void check_threads(int threads) {
  constexpr int most = 1024;   // far more only wait for each other
  require(threads >= 0 && threads <= most, "threads is ", threads, ", expected 0 (automatic) to ", most);
}

WeightStorage weight_storage(const std::string& device, const std::string& dtype, CpuIsa isa) {
  const std::string type = resolved_dtype(device, dtype, isa);
  if (type == "bfp16") return {.products = DType::int16};
  if (type == "amx") return {.products = Packing(DType::bfloat16, WeightLayout::tiles)};
  return {.dtype = type == "float32" ? DType::float32 : DType::bfloat16, .float8 = type == "fp8"};
}

PlannedDevice planned_device(const std::string& device, const std::string& dtype) {
  if (device == "cpu") return PlannedDevice::cpu;
  return dtype == "float32" ? PlannedDevice::gpu_float32 : PlannedDevice::gpu_bfloat16;
}

}  // namespace pyracast
