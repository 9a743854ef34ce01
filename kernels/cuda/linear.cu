#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/matrix_product.cuh"

namespace pyracast {

// Weights stay in the published order [columns, depth]: in float32, or rounded to bfloat16 for the tensor cores.
PackedWeights CudaBackend::pack(View weight, DType as) {
  require(as == weight.dtype, "block floating point is the CPU's only");
  const int64_t columns = weight.shape[0], depth = columns ? weight.size() / columns : 0;
  const DType dtype = activations();
  const size_t bytes = size_t(weight.size()) * size_of(dtype);
  PackedWeights packed{allocate(bytes), dtype, columns, depth, bytes};
  convert(weight, {packed.data.get(), dtype, weight.shape});
  return packed;
}

CudaBackend::Owned CudaBackend::as(DType dtype, const View& x) {
  if (x.dtype == dtype) return {x, nullptr};
  auto memory = allocate(size_t(x.size()) * size_of(dtype));
  const View out{memory.get(), dtype, x.shape};
  convert(x, out);
  return {out, std::move(memory)};
}

void CudaBackend::linear(View x, const PackedWeights& weight, const View* bias, Activation activation, View out) {
  const int64_t rows = x.size() / weight.depth;
  if (rows == 0) return;
  const Owned added = bias ? as(out.dtype, *bias) : Owned();
  if (!tensor_cores_) {
    cuda::multiply(stream(), "linear", cuda::MatrixRows{cuda::floats(x), rows, weight.depth},
                   {static_cast<const float*>(weight.data.get()), weight.columns, weight.depth},
                   {cuda::floats(added.view), activation, cuda::floats(out), rows, weight.columns}, multiprocessors_);
    return;
  }
  const Owned narrow = as(DType::bfloat16, x);
  const Activation left =
      tensor_cores_->multiply({cuda::elements<const bfloat16>(narrow.view), static_cast<const bfloat16*>(weight.data.get()), added.view.data, rows,
                               weight.columns, weight.depth, activation, out.data, out.dtype}, stream());
  if (left != Activation::none) activate(out, left, out);
}

}  // namespace pyracast
