// Stands in for cuBLASLt: the same product by its definition, summed as tensor cores do, so that what is around it can be tested.
#include "kernels/cuda/tensor_cores.hpp"

#include <vector>

#include "cuda_runtime.h"
#include "kernels/arithmetic.hpp"
#include "kernels/cuda/scratch.hpp"
#include "tensor_core_sum.hpp"

namespace pyracast::cuda {

namespace {

template <class T>
std::vector<float> widened(const void* data, int64_t count) {
  const T* const values = static_cast<const T*>(data);
  return {values, values + count};
}

/// A factor of `rows` rows as numbers, not scaled.
std::vector<float> values_of(const TensorCoreProduct& p, const TensorCoreFactor& factor, int64_t rows) {
  return p.factors == DType::float8 ? widened<float8>(factor.data, rows * p.depth) : widened<bfloat16>(factor.data, rows * p.depth);
}

/// As kernels for Hopper go through the depth: 16 values an instruction, or of float8 32, where four instructions' sums are added up in float32.
float sum_of(const float* left, const float* right, int64_t depth, DType factors) {
  float sum = 0;
  if (factors != DType::float8) {
    for (int64_t k = 0; k < depth; k += 16)
      sum = emulated::tensor_core_sum(sum, left + k, right + k, std::min<int64_t>(16, depth - k), emulated::bits_of_bfloat16);
    return sum;
  }
  for (int64_t first = 0; first < depth; first += 128) {
    float part = 0;
    for (int64_t k = first; k < std::min(depth, first + 128); k += 32)
      part = emulated::tensor_core_sum(part, left + k, right + k, std::min<int64_t>(32, depth - k), emulated::bits_of_float8);
    sum += part;
  }
  return sum;
}

class ByDefinition final : public TensorCores {
 public:
  std::string version() const override { return "definition"; }

  Activation multiply(const TensorCoreProduct& p, void*) override {
    check(p);
    const std::vector<float> left = values_of(p, p.left, p.rows), right = values_of(p, p.right, p.columns);
    const bool wide = p.out_type == DType::float32, applied = p.activation == Activation::relu;
    std::vector<float> bias(size_t(p.columns), 0.f);
    if (p.bias) bias = bias_type(p.factors, p.out_type) == DType::float32 ? widened<float>(p.bias, p.columns) : widened<bfloat16>(p.bias, p.columns);
    const int64_t out_row = p.out_row ? p.out_row : p.columns;
    for (int64_t row = 0; row < p.rows; ++row)
      for (int64_t column = 0; column < p.columns; ++column) {
        float sum = sum_of(left.data() + row * p.depth, right.data() + column * p.depth, p.depth, p.factors);
        if (p.factors == DType::float8) sum *= p.left.scales[row] * p.right.scales[column];
        float value = activated(applied ? p.activation : Activation::none, sum + bias[size_t(column)]);
        const int64_t at = row * out_row + column;
        if (p.residual) value += wide ? static_cast<const float*>(p.residual)[at] : float(static_cast<const bfloat16*>(p.residual)[at]);
        if (wide) static_cast<float*>(p.out)[at] = value;
        else static_cast<bfloat16*>(p.out)[at] = bfloat16(value);
      }
    return applied ? Activation::none : p.activation;
  }

 private:
  /// What cuBLASLt takes for granted, or does not have, in the way that tensor_cores.cu asks it.
  static void check(const TensorCoreProduct& p) {
    for (const void* memory : {p.left.data, p.right.data, p.bias, p.residual, static_cast<const void*>(p.out)})
      if (reinterpret_cast<uintptr_t>(memory) % 256 != 0) emulated::stop("a product's memory does not begin at a multiple of 256 bytes");
    const bool float8 = p.factors == DType::float8;
    if (float8 && (p.depth % 16 != 0 || p.columns % 16 != 0)) emulated::stop("a product of float8 is of rows that are no multiples of 16 bytes");
    if (float8 != (p.left.scales && p.right.scales)) emulated::stop("a product of float8 has scales, and no other");
    if (p.residual && p.activation != Activation::none) emulated::stop("a product is activated and added to something");
  }
};

}  // namespace

std::unique_ptr<TensorCores> make_tensor_cores(void*) { return std::make_unique<ByDefinition>(); }

}  // namespace pyracast::cuda
