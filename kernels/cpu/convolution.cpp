// A convolution is the matrix product of its patches with the weights; patches are gathered a block at a time straight
// into the product's left factor, so no tensor of patches ever exists.
#include "kernels/cpu/packing.hpp"
#include "kernels/cpu/product.hpp"
#include "kernels/cpu/tap_columns.hpp"
#include "kernels/cpu/winograd.hpp"

namespace pyracast {

namespace {

/// Packs rows (output positions) of the matrix of patches; its depth runs over (time, height, width, channel) taps.
struct PackPatches {
  const float* x;
  int64_t positions, channels, size[3], out_size[3];
  const ConvolutionGeometry& geometry;

  bool operator()(int64_t row, int64_t k, int64_t count, float* a) const {
    bool any = false;
    for (int64_t i = 0; i < cpu::tile_rows; ++i) any |= pack_position(row + i, k, count, a + i * cpu::left_stride);
    return any;
  }

  /// Whether one of the taps lies inside of x.
  bool pack_position(int64_t position, int64_t k, int64_t count, float* a) const {
    bool any = false;
    runs(position, k, count, [&](const float* from, int64_t at, int64_t length) {
      if (from) std::memcpy(a + at, from, size_t(length) * 4);
      else std::memset(a + at, 0, size_t(length) * 4);
      any |= from != nullptr;
    });
    return any;
  }

  /// run(from, at, length): `count` values from k on of a row, a tap at a time; from is null where the tap lies outside of x.
  template <class Run>
  void runs(int64_t position, int64_t k, int64_t count, Run run) const {
    const bool exists = position < positions;
    const int64_t w = position % out_size[2] * geometry.stride[2] - geometry.pad_before[2];
    const int64_t h = position / out_size[2] % out_size[1] * geometry.stride[1] - geometry.pad_before[1];
    const int64_t t = position / (out_size[2] * out_size[1]) % out_size[0] * geometry.stride[0] - geometry.pad_before[0];
    const int64_t batch = position / (out_size[2] * out_size[1] * out_size[0]);
    int64_t tap = k / channels, channel = k % channels;
    int64_t of_w = tap % geometry.kernel[2], of_h = tap / geometry.kernel[2] % geometry.kernel[1],
            of_t = tap / (geometry.kernel[2] * geometry.kernel[1]);
    for (int64_t done = 0; done < count;) {
      const int64_t length = std::min(count - done, channels - channel), in_w = w + of_w, in_h = h + of_h, in_t = t + of_t;
      const bool inside = exists && in_w >= 0 && in_w < size[2] && in_h >= 0 && in_h < size[1] && in_t >= 0 && in_t < size[0];
      run(inside ? x + (((batch * size[0] + in_t) * size[1] + in_h) * size[2] + in_w) * channels + channel : nullptr, done, length);
      done += length;
      channel = 0;
      if (++of_w == geometry.kernel[2]) {
        of_w = 0;
        if (++of_h == geometry.kernel[1]) of_h = 0, ++of_t;
      }
    }
  }
};

}  // namespace

Packing cpu::packing(const ConvolutionGeometry& geometry, int64_t in_channels, int64_t out_channels, Packing as) {
  if (geometry.kernel[1] != 3 || geometry.kernel[2] != 3 || geometry.stride[1] != 1 || geometry.stride[2] != 1) return as;
  if (in_channels >= winograd_channels && out_channels >= winograd_channels) {
    if (as.layout == WeightLayout::tiles) return as;   // whose plain sum is faster than Winograd's in the other types
    const bool quantized = as.dtype == DType::int16 && in_channels >= quantized_winograd_channels;
    return {quantized ? DType::int16 : DType::float32, WeightLayout::winograd, in_channels};
  }
  if (in_channels >= least_tap_channels && out_channels <= most_tap_outputs)   // which do not fill AMX's tiles
    return {as.layout == WeightLayout::tiles ? DType::int16 : as.dtype, WeightLayout::tap_columns, in_channels};
  return as;
}

Packing CpuBackend::packing(const ConvolutionGeometry& geometry, int64_t in_channels, int64_t out_channels, Packing as) const {
  return cpu::packing(geometry, in_channels, out_channels, as);
}

void CpuBackend::convolution(View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry, View out,
                             const View* residual) {
  if (weight.layout == WeightLayout::winograd) return cpu::convolution_by_winograd(simd_, x, weight, bias, geometry, out, residual);
  if (weight.layout == WeightLayout::tap_columns) return cpu::convolution_by_tap_columns(simd_, x, weight, bias, geometry, out, residual);
  const int64_t positions = out.size() / weight.columns;
  const PackPatches patches{cpu::floats(x), positions, x.shape[4],
                            {x.shape[1], x.shape[2], x.shape[3]}, {out.shape[1], out.shape[2], out.shape[3]}, geometry};
  cpu::multiply(simd_, positions, weight, patches, cpu::floats(out),
                cpu::Epilogue{simd_, cpu::floats_or_null(bias), Activation::none, weight.columns, cpu::floats_or_null(residual)});
}

}  // namespace pyracast
