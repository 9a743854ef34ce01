#pragma once
// A convolution is the matrix product of its patches with the weights: where an element of the matrix of patches lies.
#include "kernels/arithmetic.hpp"

namespace pyracast::cuda {

/// The matrix of patches of x [batch, time, height, width, channels] as a factor of a product (MatrixRows says what that
/// is): a row an output position, its depth over (time, height, width, channel) taps.
template <class T>
struct Patches {
  const T* x;
  int64_t positions;               // batch * output positions
  int size[3], out_size[3];        // time, height, width
  int kernel[3], stride[3], pad_before[3];
  int channels, depth;

  /// The input position of a patch's first tap, which may lie in the padding; no batch entry: beyond the last patch.
  struct Row {
    const T* entry;
    int at[3];
  };
  /// What k is: a tap's distance from the first, and a channel.
  struct Tap {
    int at[3];
    int channel;
    bool exists;
  };

  constexpr Row row(int64_t position) const {
    Row row{nullptr, {0, 0, 0}};
    if (position >= positions) return row;
    for (int axis = 2; axis >= 0; --axis) {
      row.at[axis] = int(position % out_size[axis]) * stride[axis] - pad_before[axis];
      position /= out_size[axis];
    }
    row.entry = x + position * size[0] * size[1] * size[2] * channels;
    return row;
  }

  constexpr Tap tap(int k) const {
    Tap tap{{0, 0, 0}, k % channels, k < depth};
    int index = k / channels;
    for (int axis = 2; axis >= 0; --axis) {
      tap.at[axis] = index % kernel[axis];
      index /= kernel[axis];
    }
    return tap;
  }

  /// Where the element lies; null: in the padding, or beyond the matrix.
  constexpr const T* at(const Row& row, const Tap& tap) const {
    if (!row.entry || !tap.exists) return nullptr;
    const int t = row.at[0] + tap.at[0], h = row.at[1] + tap.at[1], w = row.at[2] + tap.at[2];
    if (t < 0 || h < 0 || w < 0 || t >= size[0] || h >= size[1] || w >= size[2]) return nullptr;
    return row.entry + ((int64_t(t) * size[1] + h) * size[2] + w) * channels + tap.channel;
  }
  constexpr T operator()(const Row& row, const Tap& tap) const {
    const T* const found = at(row, tap);
    return found ? *found : T(0.f);
  }
};

template <class T>
Patches<T> patches_of(View x, const ConvolutionGeometry& geometry, View out) {
  Patches<T> patches{};
  patches.x = static_cast<const T*>(x.data);
  patches.channels = patches.depth = int(x.shape[4]);
  patches.positions = out.shape[0];
  for (int axis = 0; axis < 3; ++axis) {
    patches.size[axis] = int(x.shape[size_t(axis) + 1]);
    patches.out_size[axis] = int(out.shape[size_t(axis) + 1]);
    patches.kernel[axis] = int(geometry.kernel[axis]);
    patches.stride[axis] = int(geometry.stride[axis]);
    patches.pad_before[axis] = int(geometry.pad_before[axis]);
    patches.positions *= patches.out_size[axis];
    patches.depth *= patches.kernel[axis];
  }
  return patches;
}

}  // namespace pyracast::cuda
