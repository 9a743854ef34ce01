// Attention of one wide head, a VAE's, as two products on the tensor cores with a softmax between them: a head of 512 channels leaves no
// registers for what tensor_core_attention.cu keeps there. Some queries of an entry are taken at a time, as memory for their scores allows.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/scratch.hpp"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256, warps = threads / warp_size;

// A block a row of scores [rows, padded], of which `keys` are there: their softmax, and zeros behind it.
__global__ void softmax_kernel(const float* scores, int keys, int padded, float scale, bfloat16* weights) {
  __shared__ float of_warps[2][warps];
  const int warp = int(threadIdx.x) / warp_size;
  const float* const row = scores + int64_t(blockIdx.x) * padded;
  float most = -INFINITY;
  for (int key = threadIdx.x; key < keys; key += threads) most = fmaxf(most, row[key]);
  most = warp_max(most);
  if (threadIdx.x % warp_size == 0) of_warps[0][warp] = most;
  __syncthreads();
  for (int i = 0; i < warps; ++i) most = fmaxf(most, of_warps[0][i]);
  float total = 0;
  for (int key = threadIdx.x; key < keys; key += threads) total += expf((row[key] - most) * scale);
  total = warp_sum(total);
  if (threadIdx.x % warp_size == 0) of_warps[1][warp] = total;
  __syncthreads();
  total = 0;
  for (int i = 0; i < warps; ++i) total += of_warps[1][i];
  const float factor = 1 / total;
  for (int key = threadIdx.x; key < padded; key += threads)
    weights[int64_t(blockIdx.x) * padded + key] = rounded<bfloat16>(key < keys ? expf((row[key] - most) * scale) * factor : 0.f);
}

}  // namespace
}  // namespace cuda

void CudaBackend::attend_by_products(View q, View k, View v, float scale, View out) {
  const int64_t batch = q.shape[0], queries = q.shape[1], keys = k.shape[1], size = q.shape[3];
  const int64_t padded = cuda::padded_keys(keys), most = cuda::product_attention_rows(queries, keys);
  const auto scores = allocate(cuda::scores_bytes(queries, keys)), weights = allocate(cuda::weights_bytes(queries, keys)),
             values = allocate(cuda::turned_values_bytes(keys, size));
  const View turned{values.get(), DType::bfloat16, {size, padded}};
  if (padded > keys) fill(turned, 0);
  const auto entry = [](const View& x, int64_t rows) { return static_cast<bfloat16*>(x.data) + rows * x.shape[3]; };
  for (int64_t b = 0; b < batch; ++b) {
    copy(v, b * keys * size, {1, size}, turned, 0, {padded, 1}, {size, keys});
    for (int64_t first = 0; first < queries; first += most) {
      const int64_t rows = std::min(most, queries - first);
      tensor_cores_->multiply({.left = {entry(q, b * queries + first)}, .right = {entry(k, b * keys)}, .rows = rows, .columns = keys, .depth = size,
                               .out = scores.get(), .out_row = padded}, stream());
      cuda::launch(stream(), "softmax", rows, cuda::threads, 0, cuda::softmax_kernel, static_cast<const float*>(scores.get()), int(keys), int(padded),
                   scale, static_cast<bfloat16*>(weights.get()));
      tensor_cores_->multiply({.left = {weights.get()}, .right = {turned.data}, .rows = rows, .columns = size, .depth = padded,
                               .out = entry(out, b * queries + first), .out_type = DType::bfloat16}, stream());
    }
  }
}

}  // namespace pyracast
