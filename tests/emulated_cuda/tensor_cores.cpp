// Stands in for cuBLASLt: the same product by its definition, so that what is around it can be tested.
#include "kernels/cuda/tensor_cores.hpp"

#include <vector>

#include "kernels/arithmetic.hpp"
#include "kernels/cuda/scratch.hpp"

namespace pyracast::cuda {

namespace {

template <class T>
std::vector<float> widened(const void* data, int64_t count) {
  const T* const values = static_cast<const T*>(data);
  return {values, values + count};
}

/// A factor of `rows` rows as numbers, scaled.
std::vector<float> values_of(const TensorCoreProduct& p, const TensorCoreFactor& factor, int64_t rows) {
  std::vector<float> values = p.factors == DType::float8 ? widened<float8>(factor.data, rows * p.depth) : widened<bfloat16>(factor.data, rows * p.depth);
  if (factor.scales)
    for (int64_t i = 0; i < rows * p.depth; ++i) values[size_t(i)] *= factor.scales[i / p.depth];
  return values;
}

class ByDefinition final : public TensorCores {
 public:
  std::string version() const override { return "definition"; }

  Activation multiply(const TensorCoreProduct& p, void*) override {
    const std::vector<float> left = values_of(p, p.left, p.rows), right = values_of(p, p.right, p.columns);
    const bool wide = p.out_type == DType::float32, applied = p.activation == Activation::relu;
    std::vector<float> bias(size_t(p.columns), 0.f);
    if (p.bias) bias = bias_type(p.factors, p.out_type) == DType::float32 ? widened<float>(p.bias, p.columns) : widened<bfloat16>(p.bias, p.columns);
    const int64_t out_row = p.out_row ? p.out_row : p.columns;
    for (int64_t row = 0; row < p.rows; ++row)
      for (int64_t column = 0; column < p.columns; ++column) {
        const float *const x = left.data() + row * p.depth, *const w = right.data() + column * p.depth;
        float sum = 0;
        for (int64_t k = 0; k < p.depth; ++k) sum += x[k] * w[k];
        float value = activated(applied ? p.activation : Activation::none, sum + bias[size_t(column)]);
        const int64_t at = row * out_row + column;
        if (p.residual) value += wide ? static_cast<const float*>(p.residual)[at] : float(static_cast<const bfloat16*>(p.residual)[at]);
        if (wide) static_cast<float*>(p.out)[at] = value;
        else static_cast<bfloat16*>(p.out)[at] = bfloat16(value);
      }
    return applied ? Activation::none : p.activation;
  }
};

}  // namespace

std::unique_ptr<TensorCores> make_tensor_cores(void*) { return std::make_unique<ByDefinition>(); }

}  // namespace pyracast::cuda
