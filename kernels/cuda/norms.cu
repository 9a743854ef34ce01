// Layer and root-mean-square norms: a warp a row. Lane l sums elements l, l + 32, ..., then the lanes are added up in a
// fixed tree, so that a row's bits depend on its length only.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/device_code.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int rows_of_block = 8;

/// The row of this warp.
__device__ int64_t warp_row() { return int64_t(blockIdx.x) * rows_of_block + threadIdx.x / warp_size; }

// Two passes over the row: the one-pass formula cancels badly.
__global__ void layer_norm_kernel(int64_t rows, int64_t n, const float* x, float epsilon, const float* weight,
                                  const float* bias, float* out) {
  const int64_t r = warp_row();
  if (r >= rows) return;   // a whole warp leaves together
  const int lane = threadIdx.x % warp_size;
  const float* row = x + r * n;
  float sum = 0, square = 0;
  for (int64_t i = lane; i < n; i += warp_size) sum += row[i];
  const float mean = warp_sum(sum) / float(n);
  for (int64_t i = lane; i < n; i += warp_size) square += (row[i] - mean) * (row[i] - mean);
  const float scale = 1 / sqrtf(warp_sum(square) / float(n) + epsilon);
  for (int64_t i = lane; i < n; i += warp_size) {
    float value = (row[i] - mean) * scale;
    if (weight) value *= weight[i];
    if (bias) value += bias[i];
    out[r * n + i] = value;
  }
}

__global__ void rms_norm_kernel(int64_t rows, int64_t n, const float* x, float epsilon, const float* weight, float* out) {
  const int64_t r = warp_row();
  if (r >= rows) return;
  const int lane = threadIdx.x % warp_size;
  const float* row = x + r * n;
  float square = 0;
  for (int64_t i = lane; i < n; i += warp_size) square += row[i] * row[i];
  const float scale = 1 / sqrtf(warp_sum(square) / float(n) + epsilon);
  for (int64_t i = lane; i < n; i += warp_size) out[r * n + i] = row[i] * scale * weight[i];
}

}  // namespace
}  // namespace cuda

void CudaBackend::layer_norm(View x, float epsilon, const View* weight, const View* bias, View out) {
  const int64_t n = x.shape.back(), rows = x.size() / n;
  cuda::launch(stream(), "layer_norm", pieces_of(rows, cuda::rows_of_block), cuda::rows_of_block * cuda::warp_size, 0,
               cuda::layer_norm_kernel, rows, n, cuda::floats(x), epsilon, cuda::floats_or_null(weight),
               cuda::floats_or_null(bias), cuda::floats(out));
}

void CudaBackend::rms_norm(View x, float epsilon, View weight, View out) {
  const int64_t n = x.shape.back(), rows = x.size() / n;
  cuda::launch(stream(), "rms_norm", pieces_of(rows, cuda::rows_of_block), cuda::rows_of_block * cuda::warp_size, 0,
               cuda::rms_norm_kernel, rows, n, cuda::floats(x), epsilon, cuda::floats(weight), cuda::floats(out));
}

}  // namespace pyracast
