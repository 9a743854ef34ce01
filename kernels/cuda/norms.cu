// Layer and root-mean-square norms: a warp a row. Lane l sums packs l, l + 32, ... of elements, then the lanes are added up in a
// fixed tree, so that a row's bits depend on its length only. A row is read again from the first-level cache for each pass.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int rows_of_block = 8;

/// What is done to a normalised element of a row: * weight + bias, as far as they are given.
struct Affine {
  const float *weight, *bias;
  template <int n>
  struct Factors {
    Pack<float, n> weight, bias;
  };
  template <int n>
  __device__ Factors<n> of_pack(int64_t, int64_t column) const {
    Factors<n> by;
    if (weight) by.weight = load<n>(weight + column);
    if (bias) by.bias = load<n>(bias + column);
    return by;
  }
  template <int n>
  __device__ float operator()(const Factors<n>& by, int k, float x) const {
    if (weight) x *= by.weight.of[k];
    if (bias) x += by.bias.of[k];
    return x;
  }
};

/// x * (1 + scale) + shift, of the row's group.
struct ByGroup {
  const float *shift, *scale;
  int64_t rows, channels;
  template <int n>
  struct Factors {
    Pack<float, n> shift, scale;
  };
  template <int n>
  __device__ Factors<n> of_pack(int64_t row, int64_t column) const {
    const int64_t at = row / rows * channels + column;
    return {load<n>(shift + at), load<n>(scale + at)};
  }
  template <int n>
  __device__ float operator()(const Factors<n>& by, int k, float x) const {
    return x * (1 + by.scale.of[k]) + by.shift.of[k];
  }
};

// Centred: the mean is taken off first, in a pass of its own: the one-pass formula cancels badly.
template <bool centred, int n, class T, class End>
__global__ void norm_kernel(int64_t rows, int64_t columns, const T* x, float epsilon, End end, T* out) {
  const int64_t r = int64_t(blockIdx.x) * rows_of_block + threadIdx.x / warp_size;
  if (r >= rows) return;   // a whole warp leaves together
  const int64_t first = int64_t(threadIdx.x % warp_size) * n, step = warp_size * n;
  const T* row = x + r * columns;
  float mean = 0, square = 0;
  if constexpr (centred) {
    float sum = 0;
    for (int64_t i = first; i < columns; i += step) {
      const auto pack = load<n>(row + i);
#pragma unroll
      for (int k = 0; k < n; ++k) sum += float(pack.of[k]);
    }
    mean = warp_sum(sum) / float(columns);
  }
  for (int64_t i = first; i < columns; i += step) {
    const auto pack = load<n>(row + i);
#pragma unroll
    for (int k = 0; k < n; ++k) square += (float(pack.of[k]) - mean) * (float(pack.of[k]) - mean);
  }
  const float scale = 1 / sqrtf(warp_sum(square) / float(columns) + epsilon);
  for (int64_t i = first; i < columns; i += step) {
    const auto pack = load<n>(row + i);
    const auto by = end.template of_pack<n>(r, i);
    Pack<T, n> result;
#pragma unroll
    for (int k = 0; k < n; ++k) result.of[k] = rounded<T>(end(by, k, (float(pack.of[k]) - mean) * scale));
    store(out + r * columns + i, result);
  }
}

template <bool centred, class End>
void normalise(cudaStream_t stream, const char* what, View x, float epsilon, End end, View out) {
  const int64_t columns = x.shape.back(), rows = x.size() / columns;
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int n = pack_elements<T>;
    const auto kernel = in_packs(columns, n, x, out) ? norm_kernel<centred, n, T, End> : norm_kernel<centred, 1, T, End>;
    launch(stream, what, pieces_of(rows, rows_of_block), rows_of_block * warp_size, 0, kernel, rows, columns, elements<const T>(x), epsilon,
           end, elements<T>(out));
  });
}

}  // namespace
}  // namespace cuda

void CudaBackend::layer_norm(View x, float epsilon, const View* weight, const View* bias, View out) {
  cuda::normalise<true>(stream(), "layer_norm", x, epsilon, cuda::Affine{cuda::floats_or_null(weight), cuda::floats_or_null(bias)}, out);
}

void CudaBackend::rms_norm(View x, float epsilon, View weight, View out) {
  cuda::normalise<false>(stream(), "rms_norm", x, epsilon, cuda::Affine{cuda::floats(weight), nullptr}, out);
}

void CudaBackend::modulated_norm(View x, float epsilon, View shift, View scale, View out) {
  cuda::normalise<true>(stream(), "modulated_norm", x, epsilon, cuda::ByGroup{cuda::floats(shift), cuda::floats(scale), x.shape[1], x.shape[2]},
                        out);
}

}  // namespace pyracast
