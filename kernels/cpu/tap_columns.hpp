#pragma once
// Convolutions of 3 x 3 in space to few channels, such as a decoder's last one: as a product of patches they would leave most of a tile's columns
// idle. So the 9 taps are columns: of each input position all products with all taps, [9 outputs], which are then added where they belong.
#include <vector>

#include "kernels/cpu/simd.hpp"

namespace pyracast::cpu {

/// Where it pays: outputs whose taps fit a panel or two, and enough channels to outweigh the adding.
inline constexpr int64_t most_tap_outputs = 7, least_tap_channels = 64;

/// The factor of a tap in time: [9 taps in space, outputs] columns of `channels` values, from published kernels [outputs, times, 3, 3, channels].
template <class Element>
std::vector<Element> tap_columns(const Element* kernels, int64_t outputs, int64_t times, int64_t time, int64_t channels) {
  std::vector<Element> out;
  out.reserve(size_t(9 * outputs * channels));
  for (int64_t tap = 0; tap < 9; ++tap)
    for (int64_t o = 0; o < outputs; ++o) {
      const Element* const from = kernels + ((o * times + time) * 9 + tap) * channels;
      out.insert(out.end(), from, from + channels);
    }
  return out;
}

/// Backend::convolution() with weights that pack() has laid out so. An output is its bias, and then the taps in the order of time, height and
/// width, each a sum over the channels.
void convolution_by_tap_columns(const Simd& simd, View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry,
                                View out, const View* residual);

}  // namespace pyracast::cpu
