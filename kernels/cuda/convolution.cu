// In float32 patches are gathered a tile at a time straight into the product's left factor, and so they are for the tensor cores where
// 8 channels lie together. Else, of pictures and latents, a chunk of the matrix of patches is written out in bfloat16 and multiplied by
// the weights, chunk after chunk.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/matrix_product.cuh"
#include "kernels/cuda/patches.hpp"
#include "kernels/cuda/scratch.hpp"
#include "kernels/cuda/tensor_core_convolution.hpp"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;

// A block a patch, of `first` and what follows; n channels lie in the same tap.
template <int n, class T>
__global__ void patches_kernel(Patches<T> patches, int64_t first, bfloat16* out) {
  const auto row = patches.row(first + blockIdx.x);
  for (int k = threadIdx.x * n; k < patches.depth; k += blockDim.x * n) {
    Pack<bfloat16, n> pack;
    const T* const from = patches.at(row, patches.tap(k));
    const Pack<T, n> found = from ? load<n>(from) : Pack<T, n>{};
#pragma unroll
    for (int i = 0; i < n; ++i) pack.of[i] = rounded<bfloat16>(float(found.of[i]));
    store(out + blockIdx.x * int64_t(patches.depth) + k, pack);
  }
}

template <class T>
void write_patches(cudaStream_t stream, View x, const Patches<T>& patches, int64_t first, int64_t rows, bfloat16* out) {
  constexpr int n = pack_elements<bfloat16>;
  const auto kernel = in_packs(patches.channels, n, x) ? patches_kernel<n, T> : patches_kernel<1, T>;
  launch(stream, "patches of a convolution", rows, threads, 0, kernel, patches, first, out);
}

}  // namespace
}  // namespace cuda

void CudaBackend::convolution(View x, const PackedWeights& weight, const View* bias, const ConvolutionGeometry& geometry, View out,
                              const View* residual) {
  if (out.size() == 0) return;
  require(weight.depth <= INT_MAX, "a convolution on a GPU: a patch has ", weight.depth, " values, of which the kernel holds ", INT_MAX);
  if (tensor_cores_ && cuda::is_pointwise(geometry)) return linear(x, weight, bias, Activation::none, out, residual);
  const bool in_place = tensor_cores_ && cuda::convolution_in_place(x, weight);
  const Owned added = bias ? as(in_place ? DType::float32 : out.dtype, *bias) : Owned();
  if (in_place)
    return cuda::tensor_core_convolution(stream(), cuda::patches_of<bfloat16>(x, geometry, out), static_cast<const bfloat16*>(weight.data.get()),
                                         cuda::floats_or_null(bias ? &added.view : nullptr), residual ? residual->data : nullptr, out);
  if (!tensor_cores_) {
    const auto patches = cuda::patches_of<float>(x, geometry, out);
    cuda::multiply(stream(), "convolution", patches, {static_cast<const float*>(weight.data.get()), weight.columns, weight.depth},
                   {cuda::floats(added.view), Activation::none, cuda::floats(out), patches.positions, weight.columns, cuda::floats_or_null(residual)},
                   multiprocessors_);
    return;
  }
  cuda::with_type(x.dtype, [&](auto type) {
    const auto patches = cuda::patches_of<decltype(type)>(x, geometry, out);
    const int64_t row_bytes = weight.depth * int64_t(sizeof(bfloat16)), out_row = weight.columns * int64_t(size_of(out.dtype));
    const int64_t most = cuda::convolution_rows(patches.positions, weight.depth);
    const auto chunk = allocate(size_t(most * row_bytes));
    auto* const left = static_cast<bfloat16*>(chunk.get());
    for (int64_t first = 0; first < patches.positions; first += most) {
      const int64_t rows = std::min(most, patches.positions - first);
      cuda::write_patches(stream(), x, patches, first, rows, left);
      tensor_cores_->multiply({.left = {left}, .right = {weight.data.get()}, .bias = added.view.data, .rows = rows, .columns = weight.columns,
                               .depth = weight.depth, .residual = residual ? static_cast<const char*>(residual->data) + first * out_row : nullptr,
                               .out = static_cast<char*>(out.data) + first * out_row, .out_type = out.dtype}, stream());
    }
  });
}

}  // namespace pyracast
