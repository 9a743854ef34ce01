#include <algorithm>
#include <bit>

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/scratch.hpp"

namespace pyracast {

namespace cuda {

namespace {

bool reached(cudaEvent_t event) {
  const cudaError_t state = cudaEventQuery(event);
  if (state == cudaErrorNotReady) return cudaGetLastError(), false;   // it is no error, and nobody is to find it
  return check(state, "looking after pinned memory"), true;
}

}  // namespace

DeviceStream::DeviceStream(int device) : device_(device) {
  check(cudaSetDevice(device), "choosing the GPU");
  check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "making a stream");
  check(cudaStreamCreateWithFlags(&copies_, cudaStreamNonBlocking), "making a stream");
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
  cudaSetDevice(device_);   // of any thread
  cudaStreamSynchronize(copies_);
  cudaStreamSynchronize(stream_);
  for (const auto& [bytes, blocks] : idle_)
    for (const HostBlock& block : blocks) {
      cudaEventDestroy(block.given_back);
      if (bytes > host_piece) cudaFreeHost(block.memory);
    }
  for (void* piece : host_pieces_) cudaFreeHost(piece);
  if (pool_) cudaMemPoolDestroy(pool_);
  cudaStreamDestroy(copies_);
  cudaStreamDestroy(stream_);
}

cudaStream_t DeviceStream::current() const {
  check(cudaSetDevice(device_), "choosing the GPU");
  return stream_;
}

std::shared_ptr<void> DeviceStream::allocate(const std::shared_ptr<DeviceStream>& from, size_t bytes) {
  void* block = nullptr;
  const auto take = [&] { return cudaMallocFromPoolAsync(&block, std::max<size_t>(1, bytes), from->pool_, from->current()); };
  cudaError_t result = take();
  if (result == cudaErrorMemoryAllocation) {   // the pool may hold it in pieces, or in blocks that wait for the GPU
    cudaGetLastError();
    from->release_idle();
    result = take();
  }
  check(result, concat("taking ", bytes, " bytes of GPU memory"));
  const size_t taken = block_bytes(bytes), now = from->in_use_ += taken;
  for (size_t most = from->most_in_use_; most < now && !from->most_in_use_.compare_exchange_weak(most, now);) {}
  return {block, [from, taken](void* given) {
            cudaSetDevice(from->device_);   // of any thread
            cudaFreeAsync(given, from->stream_);
            from->in_use_ -= taken;
          }};
}

void DeviceStream::release_idle() {
  check(cudaStreamSynchronize(current()), "what was asked of the GPU");
  {
    const std::lock_guard lock(mutex_);
    release_large_host_blocks();
  }
  check(cudaMemPoolTrimTo(pool_, 0), "giving back GPU memory");
}

std::shared_ptr<void> DeviceStream::allocate_host(const std::shared_ptr<DeviceStream>& from, size_t bytes) {
  const HostBlock block = from->host_block(pinned_block_bytes(bytes));
  return {block.memory, [from, block](void*) { from->give_back(block); }};
}

void* DeviceStream::pinned(size_t bytes) const {
  void* memory = nullptr;
  current();
  check(cudaHostAlloc(&memory, bytes, cudaHostAllocDefault), concat("taking ", bytes, " bytes of pinned memory"));
  return memory;
}

// More is taken, a piece at a time, where all blocks of a size are under way; but where they are many, so that a host that asks faster than the
// GPU works does not take more and more, the oldest is waited for. That is also so of one that is larger than a piece.
DeviceStream::HostBlock DeviceStream::host_block(size_t bytes) {
  std::unique_lock lock(mutex_);
  std::deque<HostBlock>& idle = idle_[bytes];
  const bool many = bytes > host_piece || idle.size() * bytes >= 2 * host_piece;
  if (idle.empty() || (!many && !reached(idle.front().given_back))) {
    if (bytes > host_piece) release_large_host_blocks();
    const size_t taken = std::max(bytes, host_piece);
    auto* const memory = static_cast<char*>(pinned(taken));
    if (bytes <= host_piece) host_pieces_.push_back(memory);
    for (size_t at = 0; at < taken; at += bytes) {
      cudaEvent_t given_back = nullptr;
      check(cudaEventCreateWithFlags(&given_back, cudaEventDisableTiming), "making an event");
      idle.push_front({bytes, memory + at, given_back});
    }
  }
  const HostBlock block = idle.front();
  idle.pop_front();
  lock.unlock();
  check(cudaEventSynchronize(block.given_back), "waiting for pinned memory");   // of one that was never given back: at once
  return block;
}

void DeviceStream::release_large_host_blocks() {
  for (auto& [bytes, blocks] : idle_) {
    if (bytes <= host_piece) continue;
    for (const HostBlock& block : blocks) {
      check(cudaEventSynchronize(block.given_back), "waiting for pinned memory");
      check(cudaEventDestroy(block.given_back), "removing an event");
      check(cudaFreeHost(block.memory), "giving back pinned memory");
    }
    blocks.clear();
  }
}

Moment DeviceStream::copy_beside(void* to, const void* from, size_t bytes, cudaMemcpyKind kind) const {
  const cudaStream_t before = current();
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "making an event");
  const std::shared_ptr<void> owned(event, [](void* made) { cudaEventDestroy(static_cast<cudaEvent_t>(made)); });
  check(cudaEventRecord(event, before), "noting where a copy begins");
  check(cudaStreamWaitEvent(copies_, event, 0), "putting a copy behind operations");
  if (bytes > 0) check(cudaMemcpyAsync(to, from, bytes, kind, copies_), "copying beside operations");
  check(cudaEventRecord(event, copies_), "noting the end of a copy");
  return {{}, owned};
}

void DeviceStream::give_back(const HostBlock& block) {
  cudaSetDevice(device_);   // of any thread
  const std::lock_guard lock(mutex_);
  cudaEventRecord(block.given_back, stream_);
  idle_[block.bytes].push_back(block);
}

namespace {

int attribute(cudaDeviceAttr which, int device) {
  int value = 0;
  check(cudaDeviceGetAttribute(&value, which, device), "asking for the GPU's properties");
  return value;
}

}  // namespace
}  // namespace cuda

CudaBackend::CudaBackend(int device, CudaPrecision precision, CudaAttention attention) : stream_(std::make_shared<cuda::DeviceStream>(device)) {
  const int major = cuda::attribute(cudaDevAttrComputeCapabilityMajor, device);
  const int minor = cuda::attribute(cudaDevAttrComputeCapabilityMinor, device);
  multiprocessors_ = cuda::attribute(cudaDevAttrMultiProcessorCount, device);
  const bool narrow = precision == CudaPrecision::bfloat16;
  size_t available = 0, total = 0;
  cuda::check(cudaMemGetInfo(&available, &total), "asking for the GPU's memory");
  available_ = std::max<int64_t>(1, int64_t(available) - cuda::unplanned_bytes);
  name_ = concat("cuda-sm", major, minor, "-float32");
  if (!narrow) return;
  workspace_ = allocate(cuda::library_workspace_bytes);
  tensor_cores_ = cuda::make_tensor_cores(workspace_.get());
  if (attention != CudaAttention::own) library_attention_ = cuda::make_library_attention(device, workspace_.get());
  require(library_attention_ || attention != CudaAttention::cudnn, "this pyracast was built without cuDNN: use --gpu-attention own");
  // The libraries give the same bits with as many multiprocessors and in the same version only.
  name_ = concat("cuda-sm", major, minor, "x", multiprocessors_, "-", tensor_cores_->version(),
                 library_attention_ ? concat("-", library_attention_->version()) : std::string(), "-bfloat16");
  scales_float8_rows_ = major == 9;
}

std::unique_ptr<Backend> make_cuda_backend(int device, CudaPrecision precision, CudaAttention attention) {
  int devices = 0;
  const cudaError_t result = cudaGetDeviceCount(&devices);
  if (result != cudaSuccess)
    throw Error(concat("no GPU can be used here: ", cudaGetErrorString(result), ": run with --device cpu"), ExitCode::environment);
  if (device < 0 || device >= devices)
    throw Error(concat("GPU ", device, " was asked for, but this machine has ", devices,
                       ", counted from 0: use as many ranks a node as it has GPUs"), ExitCode::environment);
  return std::make_unique<CudaBackend>(device, precision, attention);
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
