// In float32 patches are gathered a tile at a time straight into the product's left factor. For the tensor cores a chunk
// of the matrix of patches is written out in bfloat16 and multiplied by the weights, chunk after chunk.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/matrix_product.cuh"
#include "kernels/cuda/patches.hpp"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t chunk_bytes = int64_t(256) << 20;
constexpr int64_t chunk_step = 64;   // rows: each chunk's output begins at a multiple of 256 bytes, whatever its columns

// A block a patch, of `first` and what follows.
__global__ void patches_kernel(Patches patches, int64_t first, bfloat16* out) {
  const Patches::Row row = patches.row(first + blockIdx.x);
  for (int64_t k = threadIdx.x; k < patches.depth; k += blockDim.x)
    out[blockIdx.x * patches.depth + k] = bfloat16(patches(row, patches.tap(k)));
}

}  // namespace
}  // namespace cuda

void CudaBackend::convolution(View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry,
                              View out) {
  if (out.size() == 0) return;
  const cuda::Patches patches = cuda::patches_of(x, geometry, out);
  const float* const added = cuda::floats_or_null(bias);
  if (!tensor_cores_) {
    cuda::multiply(stream(), "convolution", patches, {static_cast<const float*>(weight.data.get()), weight.columns, weight.depth},
                   {added, Activation::none, cuda::floats(out), patches.positions, weight.columns}, multiprocessors_);
    return;
  }
  const int64_t row_bytes = weight.depth * int64_t(sizeof(bfloat16));
  const int64_t steps = std::max<int64_t>(1, cuda::chunk_bytes / (row_bytes * cuda::chunk_step));
  const int64_t most = std::min(patches.positions, steps * cuda::chunk_step);
  const auto chunk = allocate(size_t(most * row_bytes));
  auto* const left = static_cast<bfloat16*>(chunk.get());
  for (int64_t first = 0; first < patches.positions; first += most) {
    const int64_t rows = std::min(most, patches.positions - first);
    cuda::launch(stream(), "patches of a convolution", rows, cuda::threads, 0, cuda::patches_kernel, patches, first, left);
    tensor_cores_->multiply({left, static_cast<const bfloat16*>(weight.data.get()), added, rows, weight.columns, weight.depth,
                             Activation::none, cuda::floats(out) + first * weight.columns}, stream());
  }
}

}  // namespace pyracast
