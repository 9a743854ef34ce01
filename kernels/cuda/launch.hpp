#pragma once
// Calls of the CUDA runtime, each checked. Kernels are launched by a function of the runtime rather than by <<< >>>, so
// that these files are also C++: the tests compile them for an emulation of a block's threads.
#include <cuda_runtime.h>

#include <climits>
#include <string_view>

#include "base/error.hpp"
#include "kernels/arithmetic.hpp"

namespace pyracast::cuda {

/// Throws Error with CUDA's own text unless `result` is cudaSuccess. `what` was being done: "copying to the host".
inline void check(cudaError_t result, std::string_view what) {
  if (result == cudaSuccess) return;
  cudaGetLastError();   // it is told here: nobody is to find it behind a later call
  throw Error(concat("CUDA: ", what, " failed: ", cudaGetErrorString(result), " (", cudaGetErrorName(result), ")"),
              ExitCode::environment);
}

/// Shared memory that a block gets without asking for more.
inline constexpr size_t ordinary_shared_bytes = 48 << 10;

/// Runs `kernel` in `blocks` blocks along x; none does nothing.
template <class... Parameters, class... Arguments>
void launch(cudaStream_t stream, std::string_view what, int64_t blocks, int threads, size_t shared_bytes,
            void (*kernel)(Parameters...), Arguments&&... arguments) {
  if (blocks == 0) return;
  require(blocks <= INT_MAX, "CUDA: ", what, " takes ", blocks, " blocks, of which a grid holds ", INT_MAX,
          ": use more ranks for a video of this size");
  if (shared_bytes > ordinary_shared_bytes)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, int(shared_bytes)), what);
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(unsigned(blocks));
  config.blockDim = dim3(unsigned(threads));
  config.dynamicSmemBytes = shared_bytes;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, std::forward<Arguments>(arguments)...), what);
}

inline float* floats(const View& x) { return static_cast<float*>(x.data); }
inline const float* floats_or_null(const View* x) { return x ? floats(*x) : nullptr; }

}  // namespace pyracast::cuda
