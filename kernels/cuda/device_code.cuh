#pragma once
// What kernels have in common. Sums run in an order that the length alone decides, never by atomics.
#include "kernels/cuda/launch.hpp"

namespace pyracast::cuda {

inline constexpr int warp_size = 32;

/// The thread's index in the whole grid.
__device__ inline int64_t global_index() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }

/// The sum, or the largest, over a warp's lanes, on each of them. All lanes call it.
__device__ inline float warp_sum(float x) {
  for (int step = warp_size / 2; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  return x;
}
__device__ inline float warp_max(float x) {
  for (int step = warp_size / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, step));
  return x;
}

/// The block's dynamic shared memory, aligned for vectors of four floats.
__device__ inline float* shared_floats() {
#ifdef __CUDACC__
  extern __shared__ float4 shared_vectors[];
  return reinterpret_cast<float*>(shared_vectors);
#else
  return static_cast<float*>(emulated_shared_memory());
#endif
}

}  // namespace pyracast::cuda
