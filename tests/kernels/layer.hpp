#pragma once
#include "kernels/backend.hpp"

namespace pyracast {

/// A convolution of a test.
struct Layer {
  Shape in;   // batch, time, height, width, channels
  int64_t out_channels;
  ConvolutionGeometry geometry;

  Shape out() const {
    Shape shape{in[0], 0, 0, 0, out_channels};
    for (int axis = 0; axis < 3; ++axis) shape[size_t(axis) + 1] = geometry.output_size(axis, in[size_t(axis) + 1]);
    return shape;
  }
  int64_t taps() const { return geometry.kernel[0] * geometry.kernel[1] * geometry.kernel[2]; }
  int64_t depth() const { return taps() * in[4]; }
};

}  // namespace pyracast
