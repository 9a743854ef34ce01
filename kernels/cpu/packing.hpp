#pragma once
#include "kernels/backend.hpp"

namespace pyracast::cpu {

/// How the CPU multiplies such a convolution, where a matrix is packed `as` that (published or tiles). Of 3 x 3 in space (of any size in time) and
/// stride 1: by Winograd's algorithm where channels are many on both sides, in float32, or of enough channels and where `as` is int16 in block
/// floating point, but not in tiles; with taps as columns where outputs are few. Else as the product of its patches.
Packing packing(const ConvolutionGeometry& geometry, int64_t in_channels, int64_t out_channels, Packing as);

}  // namespace pyracast::cpu
