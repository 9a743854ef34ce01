// Stands in for cuBLASLt: the same product by its definition, so that what is around it can be tested.
#include "kernels/cuda/tensor_cores.hpp"

#include "kernels/arithmetic.hpp"
#include "kernels/cuda/scratch.hpp"

namespace pyracast::cuda {

namespace {

class ByDefinition final : public TensorCores {
 public:
  explicit ByDefinition(const Allocate& allocate) : workspace_(allocate(product_workspace_bytes)) {}
  Activation multiply(const TensorCoreProduct& p, void*) override {
    const bool wide = p.out_type == DType::float32;
    for (int64_t row = 0; row < p.rows; ++row)
      for (int64_t column = 0; column < p.columns; ++column) {
        float sum = 0;
        for (int64_t k = 0; k < p.depth; ++k) sum += value(p.factors, p.left, row * p.depth + k) * value(p.factors, p.right, column * p.depth + k);
        if (p.factors == DType::float8) sum *= p.left.scales[row] * p.right.scales[column];
        if (p.bias) sum += wide ? static_cast<const float*>(p.bias)[column] : float(static_cast<const bfloat16*>(p.bias)[column]);
        const float value = activated(p.activation == Activation::relu ? p.activation : Activation::none, sum);
        if (wide) static_cast<float*>(p.out)[row * p.columns + column] = value;
        else static_cast<bfloat16*>(p.out)[row * p.columns + column] = bfloat16(value);
      }
    return p.activation == Activation::relu ? Activation::none : p.activation;
  }

 private:
  static float value(DType type, const TensorCoreFactor& factor, int64_t i) {
    return type == DType::float8 ? float(static_cast<const float8*>(factor.data)[i]) : float(static_cast<const bfloat16*>(factor.data)[i]);
  }

  std::shared_ptr<void> workspace_;   // taken as cuBLASLt's is
};

}  // namespace

std::unique_ptr<TensorCores> make_tensor_cores(const Allocate& allocate) { return std::make_unique<ByDefinition>(allocate); }

}  // namespace pyracast::cuda
