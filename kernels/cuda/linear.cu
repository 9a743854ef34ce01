#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/matrix_product.cuh"
#include "kernels/cuda/scratch.hpp"

namespace pyracast {

namespace cuda {
namespace {

constexpr int rows_of_block = 8;

__device__ uint8_t to_float8(float x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
  uint16_t pair;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.f), "f"(x));
  return uint8_t(pair);
#else
  return float8(x).bits;
#endif
}

// A warp a row of x [rows, depth]: scaled such that its largest magnitude becomes float8's, but for one that is as good as 0, whose factor would
// be no number. What is not finite becomes NaN.
template <int n, class T>
__global__ void to_float8_kernel(int64_t rows, int64_t depth, const T* x, uint8_t* out, float* scales) {
  const int64_t r = int64_t(blockIdx.x) * rows_of_block + threadIdx.x / warp_size;
  if (r >= rows) return;   // a whole warp leaves together
  const int64_t first = int64_t(threadIdx.x % warp_size) * n, step = warp_size * n;
  const T* row = x + r * depth;
  float largest = 0;
  for (int64_t i = first; i < depth; i += step) {
    const auto pack = load<n>(row + i);
#pragma unroll
    for (int k = 0; k < n; ++k) largest = fmaxf(largest, fabsf(float(pack.of[k])));
  }
  largest = warp_max(largest);
  const float scale = largest < 1e-30f ? 1 : largest / float8::largest, factor = 1 / scale;
  for (int64_t i = first; i < depth; i += step) {
    const auto pack = load<n>(row + i);
    Pack<uint8_t, n> result;
#pragma unroll
    for (int k = 0; k < n; ++k) result.of[k] = to_float8(float(pack.of[k]) * factor);
    store(out + r * depth + i, result);
  }
  if (first == 0) scales[r] = scale;
}

TensorCoreFactor to_float8(cudaStream_t stream, View x, int64_t depth, void* memory) {
  const int64_t rows = x.size() / depth;
  auto* const scales = reinterpret_cast<float*>(static_cast<char*>(memory) + float8_scales_offset(rows, depth));
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int n = pack_elements<bfloat16>;
    const auto kernel = in_packs(depth, n, x) ? to_float8_kernel<n, T> : to_float8_kernel<1, T>;
    launch(stream, "rounding to float8", pieces_of(rows, rows_of_block), rows_of_block * warp_size, 0, kernel, rows, depth, elements<const T>(x),
           static_cast<uint8_t*>(memory), scales);
  });
  return {memory, scales};
}

}  // namespace
}  // namespace cuda

// Weights stay in the published order [columns, depth]: in float32, or rounded to bfloat16 or float8 for the tensor cores.
PackedWeights CudaBackend::pack(View weight, Packing packing) {
  const DType as = packing.dtype;
  require(as == weight.dtype || (as == DType::float8 && tensor_cores_), "weights as ", name_of(as), " on ", name_,
          ": block floating point is the CPU's only, and float8 the tensor cores'");
  require(as != DType::float8 || scales_float8_rows_, "--dtype fp8 on ", name_,
          ": cuBLAS scales single rows of float8 on GPUs of compute capability 9 "
          "(H100, H200) only: use --dtype bfloat16");
  const int64_t columns = weight.shape[0], depth = columns ? weight.size() / columns : 0;
  const DType dtype = as == DType::float8 ? as : activations();
  const size_t bytes = as == DType::float8 ? cuda::float8_bytes(columns, depth) : size_t(weight.size()) * size_of(dtype);
  PackedWeights packed{allocate(bytes), dtype, columns, depth, bytes};
  if (as == DType::float8) cuda::to_float8(stream(), weight, depth, packed.data.get());
  else convert(weight, {packed.data.get(), dtype, weight.shape});
  return packed;
}

CudaBackend::Owned CudaBackend::as(DType dtype, const View& x) {
  if (x.dtype == dtype) return {x, nullptr};
  auto memory = allocate(size_t(x.size()) * size_of(dtype));
  const View out{memory.get(), dtype, x.shape};
  convert(x, out);
  return {out, std::move(memory)};
}

CudaBackend::Owned CudaBackend::floats_like(const View& x) {
  auto memory = allocate(size_t(x.size()) * sizeof(float));
  return {{memory.get(), DType::float32, x.shape}, std::move(memory)};
}

void CudaBackend::linear(View x, const PackedWeights& weight, const View* bias, Activation activation, View out, const View* residual,
                         const View* gate) {
  const int64_t rows = x.size() / weight.depth;
  if (rows == 0) return;
  if (gate) {   // which no epilogue of cuBLASLt's has
    linear(x, weight, bias, activation, out);
    const Shape grouped{gate->shape[0], rows / gate->shape[0], weight.columns};
    return add_gated({residual->data, residual->dtype, grouped}, {out.data, out.dtype, grouped}, *gate, {out.data, out.dtype, grouped});
  }
  const Owned added = bias ? as(tensor_cores_ ? cuda::bias_type(weight.dtype, out.dtype) : out.dtype, *bias) : Owned();
  if (!tensor_cores_) {
    cuda::multiply(stream(), "linear", cuda::MatrixRows{cuda::floats(x), rows, weight.depth},
                   {static_cast<const float*>(weight.data.get()), weight.columns, weight.depth},
                   {cuda::floats(added.view), activation, cuda::floats(out), rows, weight.columns, cuda::floats_or_null(residual)}, multiprocessors_);
    return;
  }
  cuda::TensorCoreProduct product{.factors = weight.dtype,
                                  .left = {},
                                  .right = {weight.data.get()},
                                  .bias = added.view.data,
                                  .rows = rows,
                                  .columns = weight.columns,
                                  .depth = weight.depth,
                                  .activation = activation,
                                  .residual = residual ? residual->data : nullptr,
                                  .out = out.data,
                                  .out_type = out.dtype};
  Owned narrow;
  if (weight.dtype == DType::float8) {
    narrow.memory = allocate(cuda::float8_bytes(rows, weight.depth));
    product.left = cuda::to_float8(stream(), x, weight.depth, narrow.memory.get());
    product.right.scales =
        reinterpret_cast<const float*>(static_cast<const char*>(weight.data.get()) + cuda::float8_scales_offset(weight.columns, weight.depth));
  } else {
    narrow = as(DType::bfloat16, x);
    product.left.data = narrow.view.data;
  }
  const Activation left = tensor_cores_->multiply(product, stream());
  if (left != Activation::none) activate(out, left, out);
}

}  // namespace pyracast
