#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/matrix_product.cuh"
#include "kernels/cuda/narrow.cuh"

namespace pyracast {

// Weights stay in the published order [columns, depth]: in float32, or rounded to bfloat16 for the tensor cores.
PackedWeights CudaBackend::pack(View weight, DType as) {
  require(as == weight.dtype, "block floating point is the CPU's only");
  const int64_t columns = weight.shape[0], depth = columns ? weight.size() / columns : 0;
  const DType dtype = tensor_cores_ ? DType::bfloat16 : DType::float32;
  const size_t bytes = size_t(weight.size()) * size_of(dtype);
  PackedWeights packed{allocate(bytes), dtype, columns, depth, bytes};
  cuda::convert(stream(), weight, {packed.data.get(), dtype, weight.shape});
  return packed;
}

void CudaBackend::linear(View x, const PackedWeights& weight, const View* bias, Activation activation, View out) {
  const int64_t rows = x.size() / weight.depth;
  if (rows == 0) return;
  if (!tensor_cores_) {
    cuda::multiply(stream(), "linear", cuda::MatrixRows{cuda::floats(x), rows, weight.depth},
                   {static_cast<const float*>(weight.data.get()), weight.columns, weight.depth},
                   {cuda::floats_or_null(bias), activation, cuda::floats(out), rows, weight.columns}, multiprocessors_);
    return;
  }
  const auto narrow = allocate(size_t(x.size()) * sizeof(bfloat16));
  cuda::convert(stream(), x, {narrow.get(), DType::bfloat16, x.shape});
  const Activation left =
      tensor_cores_->multiply({static_cast<const bfloat16*>(narrow.get()), static_cast<const bfloat16*>(weight.data.get()),
                               cuda::floats_or_null(bias), rows, weight.columns, weight.depth, activation, cuda::floats(out)}, stream());
  if (left != Activation::none) activate(out, left, out);
}

}  // namespace pyracast
