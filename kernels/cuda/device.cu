#include <algorithm>

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/scratch.hpp"

namespace pyracast {

namespace cuda {

DeviceStream::DeviceStream(int device) : device_(device) {
  check(cudaSetDevice(device), "choosing the GPU");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  cudaMemPoolProps properties{};
  properties.allocType = cudaMemAllocationTypePinned;
  properties.location.type = cudaMemLocationTypeDevice;
  properties.location.id = device;
  check(cudaMemPoolCreate(&pool_, &properties), "making a memory pool");
  // What was given back stays in the pool: a step of the loop takes nothing from the driver.
  uint64_t kept = UINT64_MAX;
  check(cudaMemPoolSetAttribute(pool_, cudaMemPoolAttrReleaseThreshold, &kept), "setting up the memory pool");
}

DeviceStream::~DeviceStream() {
  cudaStreamSynchronize(stream_);
  if (pool_) cudaMemPoolDestroy(pool_);
  cudaStreamDestroy(stream_);
}

cudaStream_t DeviceStream::current() const {
  check(cudaSetDevice(device_), "choosing the GPU");
  return stream_;
}

std::shared_ptr<void> DeviceStream::allocate(const std::shared_ptr<DeviceStream>& from, size_t bytes) {
  void* block = nullptr;
  const cudaError_t result = cudaMallocFromPoolAsync(&block, std::max<size_t>(1, bytes), from->pool_, from->current());
  check(result, concat("taking ", bytes, " bytes of GPU memory"));
  const size_t taken = block_bytes(bytes), now = from->in_use_ += taken;
  for (size_t most = from->most_in_use_; most < now && !from->most_in_use_.compare_exchange_weak(most, now);) {}
  return {block, [from, taken](void* given) {
            cudaFreeAsync(given, from->stream_);
            from->in_use_ -= taken;
          }};
}

void DeviceStream::release_idle() {
  check(cudaStreamSynchronize(current()), "what was asked of the GPU");
  check(cudaMemPoolTrimTo(pool_, 0), "giving back GPU memory");
}

namespace {

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "asking for the GPU's properties");
  return value;
}

}  // namespace
}  // namespace cuda

CudaBackend::CudaBackend(int device, CudaPrecision precision) : stream_(std::make_shared<cuda::DeviceStream>(device)) {
  const int major = cuda::attribute(cudaDevAttrComputeCapabilityMajor, device);
  const int minor = cuda::attribute(cudaDevAttrComputeCapabilityMinor, device);
  multiprocessors_ = cuda::attribute(cudaDevAttrMultiProcessorCount, device);
  const bool narrow = precision == CudaPrecision::bfloat16;
  size_t available = 0, total = 0;
  cuda::check(cudaMemGetInfo(&available, &total), "asking for the GPU's memory");
  available_ = int64_t(available);
  name_ = concat("cuda-sm", major, minor, narrow ? "-bfloat16" : "-float32");
  if (narrow) tensor_cores_ = cuda::make_tensor_cores([this](size_t bytes) { return allocate(bytes); });
}

std::unique_ptr<Backend> make_cuda_backend(int device, CudaPrecision precision) {
  int devices = 0;
  const cudaError_t result = cudaGetDeviceCount(&devices);
  if (result != cudaSuccess)
    throw Error(concat("no GPU can be used here: ", cudaGetErrorString(result), ": run with --device cpu"), ExitCode::environment);
  if (device < 0 || device >= devices)
    throw Error(concat("GPU ", device, " was asked for, but this machine has ", devices,
                       ", counted from 0: use as many ranks a node as it has GPUs"), ExitCode::environment);
  return std::make_unique<CudaBackend>(device, precision);
}

std::vector<std::string> visible_gpus() {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess) return {};
  std::vector<std::string> names;
  for (int device = 0; device < devices; ++device) {
    cudaDeviceProp properties{};
    cuda::check(cudaGetDeviceProperties(&properties, device), "asking for a GPU's name");
    names.emplace_back(properties.uuid.bytes, sizeof properties.uuid.bytes);   // of a part of a GPU (MIG) its own
  }
  return names;
}

}  // namespace pyracast
