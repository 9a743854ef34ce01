#pragma once
// Winograd's F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308): with a 3x3 kernel g and a patch d of 4x4 values, the 2x2 outputs are
// A^T [(G g G^T) * (B^T d B)] A, 16 products in place of 36. Over channels, and taps in time, each of the 16 is a matrix product.
#include <vector>

#include "kernels/cpu/simd.hpp"

namespace pyracast::cpu {

/// Channels on both sides from which on the saved products outweigh the transforms; in block floating point, of the input.
inline constexpr int64_t winograd_channels = 32, quantized_winograd_channels = 96;

/// Element (row, column) of G g G^T of every kernel: [output channels, time, channels] from [output channels, time, 3, 3, channels], of
/// `size` values in all.
template <class Element>
std::vector<float> transformed_kernels(const Element* kernels, int64_t size, int64_t channels, int row, int column);

/// Backend::convolution() with weights that pack() has transformed.
void convolution_by_winograd(const Simd& simd, View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry, View out,
                             const View* residual);

}  // namespace pyracast::cpu
