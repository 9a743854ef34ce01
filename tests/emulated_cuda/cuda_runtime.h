#pragma once
// The part of the CUDA runtime that kernels/cuda uses, for a C++ compiler: kernels run on the host, a block after the
// other, each thread of a block as a fibre that goes on at barriers and warp operations only. What is seen so: every
// index, every bound (memory is the host's, so AddressSanitizer sees it), memory read before it was written (it starts as
// NaN) or after it was given back (it ends so), a barrier that not all threads of a block reach, a result that needs more than
// barriers promise (fibres run in falling order if EMULATED_FALLING_ORDER is set), a thread's copies that it did not wait for, a call in a
// thread that has chosen no GPU. What is not: speed, and what only real hardware does. Only what NCCL is asked for (nccl.h), copies from and to
// pinned memory, and copies behind those go on beside the caller. There is one GPU, or as many as EMULATED_GPUS says, all of them the host;
// EMULATED_GPU_BYTES is what each has for tensors.
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#define __global__
#define __device__
#define __host__
#define __shared__ static   // a block runs at a time
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned x) : x(x) {}
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(16) float4 {
  float x, y, z, w;
};

struct emulated_stream;

namespace emulated {

/// Of the thread that runs.
extern dim3 thread_index, block_index, block_size, grid_size;

/// Waits for the threads of the block; `line` tells barriers apart: all threads must wait at the same one.
void block_barrier(int line);
/// Waits for the threads of the warp.
void warp_barrier();
/// What a lane gives to the others of its warp in an operation of all of them.
struct Given {
  const char* operation;
  uint32_t words[6];
};
/// Gives it, and waits for what the other lanes give: to the same operation.
void give(const Given& given);
/// What lane `lane` gave last.
const Given& given_by(unsigned lane);
void* shared_memory();

// What kernels/cuda/warp_matrices.cuh does by single instructions (instructions.cpp).
void multiply_add(float (&sums)[4], uint32_t left0, uint32_t left1, uint32_t left2, uint32_t left3, uint32_t right0, uint32_t right1);
void multiply_add(float (&sums)[4], uint32_t left0, uint32_t left1, uint32_t right);
void load_matrices(uint32_t* out, unsigned matrices, const void* row, bool transposed);

/// 16 bytes to shared memory, of which the first `bytes` are read and the others are 0. They come when the thread waits for them; until
/// then there is NaN.
void begin_copy(void* to, const void* from, unsigned bytes);
void close_copies();
void wait_for_copies(unsigned newest);

[[noreturn]] void stop(const char* what);

/// Runs f as each thread of each block.
void run(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& f);

/// Does `work` on a thread of the stream, behind what it was given before.
void later(emulated_stream* stream, std::function<void()> work);
/// Returns when all that the stream was given, or was told to wait for, has been done.
void finish(emulated_stream* stream);

/// How long each copy from or to pinned memory takes, beside the caller; and one that was put behind another stream's event.
extern std::atomic<std::chrono::microseconds> copies_take, copies_beside_take;

/// What was asked for so far that a loop had better not: pinned memory; waiting for all that a stream has to do; copies from or to memory of the
/// host that is not pinned, which may wait for as much.
struct Counts {
  std::atomic<int64_t> host_allocations = 0, stream_waits = 0, pageable_copies = 0;
  std::atomic<int64_t> to_pinned = 0, from_pinned = 0;   ///< copies
  std::atomic<int64_t> back_beside = 0;                  ///< of from_pinned, by streams that wait for another one
};
extern Counts counts;   // where the environment has EMULATED_REPORT, the program says some at its end

/// Of the GPUs: the number before the point of their compute capability.
extern std::atomic<int> capability;
/// Whether no block is given: the pool's memory is idle, but in pieces; until it is trimmed.
extern std::atomic<bool> pool_is_in_pieces;
/// Whether GPUs opened from now on have a library for attention, and how often it was called.
extern std::atomic<bool> with_library_attention;
extern std::atomic<int64_t> library_attentions;

}  // namespace emulated

inline const dim3& threadIdx = emulated::thread_index;
inline const dim3& blockIdx = emulated::block_index;
inline const dim3& blockDim = emulated::block_size;
inline const dim3& gridDim = emulated::grid_size;

inline void* emulated_shared_memory() { return emulated::shared_memory(); }
inline void emulated_syncthreads(int line) { emulated::block_barrier(line); }
#define __syncthreads() emulated_syncthreads(__LINE__)
inline void __syncwarp() { emulated::warp_barrier(); }
inline float __shfl_xor_sync(unsigned, float value, int mask) {
  emulated::give({"a shuffle", {std::bit_cast<uint32_t>(value)}});
  return std::bit_cast<float>(emulated::given_by(emulated::thread_index.x % 32 ^ unsigned(mask)).words[0]);
}

enum cudaError_t {
  cudaSuccess, cudaErrorInvalidValue, cudaErrorInvalidConfiguration, cudaErrorMemoryAllocation, cudaErrorNotReady, cudaErrorInvalidResourceHandle
};
inline const char* cudaGetErrorString(cudaError_t) { return "the emulation refuses it"; }
inline const char* cudaGetErrorName(cudaError_t) { return "emulated"; }
inline cudaError_t cudaGetLastError() { return cudaSuccess; }
cudaError_t cudaGetDeviceCount(int* count);
struct cudaUUID_t {
  char bytes[16];
};
struct cudaDeviceProp {
  cudaUUID_t uuid;
};
inline cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) { return properties->uuid.bytes[0] = char(device), cudaSuccess; }
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int* device);

enum cudaDeviceAttr { cudaDevAttrComputeCapabilityMajor, cudaDevAttrComputeCapabilityMinor, cudaDevAttrMultiProcessorCount };
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr which, int) {
  return *value = which == cudaDevAttrMultiProcessorCount ? 4 : which == cudaDevAttrComputeCapabilityMajor ? emulated::capability.load() : 0, cudaSuccess;
}

typedef emulated_stream* cudaStream_t;
typedef struct emulated_pool* cudaMemPool_t;
enum { cudaStreamNonBlocking = 1 };
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags);
inline cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) { return *least = 0, *greatest = -5, cudaSuccess; }
inline cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int) { return cudaStreamCreateWithFlags(stream, flags); }
cudaError_t cudaStreamDestroy(cudaStream_t stream);
inline cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return ++emulated::counts.stream_waits, emulated::finish(stream), cudaSuccess; }

typedef struct emulated_event* cudaEvent_t;
enum { cudaEventDefault = 0, cudaEventDisableTiming = 2 };
cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventQuery(cudaEvent_t event);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);

cudaError_t cudaMemGetInfo(size_t* available, size_t* total);

enum cudaMemAllocationType { cudaMemAllocationTypePinned };
enum cudaMemLocationType { cudaMemLocationTypeDevice };
enum cudaMemPoolAttr { cudaMemPoolAttrReleaseThreshold };
struct cudaMemLocation {
  cudaMemLocationType type;
  int id;
};
struct cudaMemPoolProps {
  cudaMemAllocationType allocType;
  cudaMemLocation location;
};
inline cudaError_t cudaMemPoolCreate(cudaMemPool_t*, const cudaMemPoolProps*) { return cudaSuccess; }
inline cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return emulated::pool_is_in_pieces = false, cudaSuccess; }
inline cudaError_t cudaMemPoolDestroy(cudaMemPool_t) { return cudaSuccess; }
inline cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMallocFromPoolAsync(void** block, size_t bytes, cudaMemPool_t, cudaStream_t);
cudaError_t cudaFreeAsync(void* block, cudaStream_t);

enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice };
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t);

enum cudaMemoryType { cudaMemoryTypeUnregistered, cudaMemoryTypeHost };
struct cudaPointerAttributes {
  cudaMemoryType type;
};
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* memory);
enum { cudaHostAllocDefault = 0 };
cudaError_t cudaHostAlloc(void** memory, size_t bytes, unsigned flags);
cudaError_t cudaFreeHost(void* memory);

enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
template <class Function>
cudaError_t cudaFuncSetAttribute(Function*, cudaFuncAttribute, int bytes) {
  return bytes <= 227 << 10 ? cudaSuccess : cudaErrorInvalidValue;   // what a block of Hopper's or Blackwell's may ask for
}

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
};
template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...), Arguments&&... arguments) {
  static_assert((sizeof(Parameters) + ... + 0) <= 4096, "a kernel's parameters hold 4096 bytes");
  const auto call = [&](Parameters... parameters) {
    emulated::run(config->gridDim, config->blockDim, config->dynamicSmemBytes, [&] { kernel(parameters...); });
  };
  if (config->blockDim.x > 1024) return cudaErrorInvalidConfiguration;
  emulated::finish(config->stream);
  call(std::forward<Arguments>(arguments)...);
  return cudaSuccess;
}
