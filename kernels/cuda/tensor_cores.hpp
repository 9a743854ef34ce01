#pragma once
#include <memory>

#include "kernels/backend.hpp"

namespace pyracast::cuda {

/// A factor of a product, [rows, depth]: bfloat16, or float8 with a scale for each row.
struct TensorCoreFactor {
  const void* data = nullptr;
  const float* scales = nullptr;
};

/// out [rows, columns] = residual + activation(left right^T + bias), both factors of one type, sums in float32, out in float32 or bfloat16;
/// there is no residual or no activation. All memory begins at a multiple of 256 bytes.
struct TensorCoreProduct {
  DType factors = DType::bfloat16;   ///< or float8
  TensorCoreFactor left;             ///< [rows, depth]
  TensorCoreFactor right;            ///< [columns, depth]
  const void* bias = nullptr;        ///< [columns], of bias_type() (scratch.hpp), or null
  int64_t rows = 0, columns = 0, depth = 0;
  Activation activation = Activation::none;
  const void* residual = nullptr;    ///< like out, or null
  void* out = nullptr;               ///< a row begins out_row elements behind the one before
  DType out_type = DType::float32;
  int64_t out_row = 0;               ///< 0: columns
};

/// Matrix products on the tensor cores.
class TensorCores {
 public:
  virtual ~TensorCores() = default;
  /// Of the library: "cublas120900".
  virtual std::string version() const = 0;
  /// Gives the activation that is still to be applied to `out`: it has none for some shapes. `stream` is a cudaStream_t.
  virtual Activation multiply(const TensorCoreProduct& product, void* stream) = 0;
};

/// By cuBLASLt. `workspace`: library_workspace_bytes of GPU memory, which must outlive it.
std::unique_ptr<TensorCores> make_tensor_cores(void* workspace);

}  // namespace pyracast::cuda
