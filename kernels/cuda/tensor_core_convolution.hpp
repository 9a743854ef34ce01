#pragma once
#include <cuda_runtime.h>

#include "kernels/backend.hpp"
#include "kernels/cuda/patches.hpp"

namespace pyracast::cuda {

/// A convolution on the tensor cores that reads its patches in place. x, beginning at a multiple of 16 bytes, has a multiple of 8
/// channels and at most most_taps taps (scratch.hpp: convolution_in_place); weight [output channels, depth]; bias [output channels] or
/// null; out [..., output channels], float32 or bfloat16. Sums are float32, over depth from the first value to the last.
void tensor_core_convolution(cudaStream_t stream, const Patches<bfloat16>& patches, const bfloat16* weight, const float* bias, const void* residual,
                             View out);

}  // namespace pyracast::cuda
