// Products on a GPU's tensor cores: factors rounded to bfloat16, or scaled and rounded to float8; sums in float32, of float8 on Hopper in some
// places of 14 bits (tests/emulated_cuda/tensor_core_sum.hpp).
#include <gtest/gtest.h>

#include <span>

#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

double activated(Activation activation, double x) {
  switch (activation) {
    case Activation::relu: return std::max(x, 0.0);
    case Activation::silu: return x / (1 + std::exp(-x));
    case Activation::gelu_tanh: return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    default: return x;
  }
}

TEST(Bfloat16Products, AreThoseOfTheRoundedFactors) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  if (!gpu.backend) GTEST_SKIP() << gpu.absence;
  Backend& device = *gpu.backend;
  for (const Activation activation : {Activation::none, Activation::relu, Activation::silu, Activation::gelu_tanh})
    for (const auto& [rows, depth, columns] :
         {std::tuple<int64_t, int64_t, int64_t>{1, 8, 8}, {7, 256, 32}, {97, 304, 64}, {200, 72, 600}, {5, 17, 33}})
      for (const bool with_bias : {true, false}) {
        const auto x = random_values(rows * depth, 1), w = random_values(columns * depth, 2), b = random_values(columns, 3);
        const auto narrow_x = rounded_to_bfloat16(x), narrow_w = rounded_to_bfloat16(w);
        const double of_tanh = activation == Activation::gelu_tanh ? 0x1p-12 : 0;   // by the special function unit: off by up to 2^-11
        std::vector<double> expected, allowed;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t n = 0; n < columns; ++n) {
            double sum = with_bias ? b[size_t(n)] : 0;
            for (int64_t k = 0; k < depth; ++k) sum += double(narrow_x[size_t(r * depth + k)]) * narrow_w[size_t(n * depth + k)];
            expected.push_back(activated(activation, sum));
            allowed.push_back(2e-5 * double(depth) + 1e-4 + of_tanh * std::abs(sum));
          }
        const DeviceArray in(device, {rows, depth}, x), bias(device, {columns}, b);
        DeviceArray out(device, {rows, columns});
        device.linear(in.view, device.pack_exactly(DeviceArray(device, {columns, depth}, w).view), with_bias ? &bias.view : nullptr, activation,
                      out.view);
        const auto found = out.values();
        ASSERT_EQ(found.size(), expected.size());
        for (size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], expected[i], allowed[i]) << int(activation) << ' ' << rows << ' ' << depth;
      }
}

/// Of rows of `depth` values: each scaled so that its largest magnitude is float8's, rounded, and scaled back.
std::vector<float> rounded_to_float8(std::vector<float> values, int64_t depth) {
  for (size_t first = 0; first < values.size(); first += size_t(depth)) {
    const auto row = std::span(values).subspan(first, size_t(depth));
    float largest = 0;
    for (const float value : row) largest = std::max(largest, std::abs(value));
    const float scale = largest == 0 ? 1 : largest / float8::largest, factor = 1 / scale;
    for (float& value : row) value = float(float8(value * factor)) * scale;
  }
  return values;
}

TEST(Float8Products, AreThoseOfScaledAndRoundedRows) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  if (!gpu.backend) GTEST_SKIP() << gpu.absence;
  Backend& device = *gpu.backend;
  if (!scales_float8_rows(device)) GTEST_SKIP() << device.name() << " has no scales for rows of float8";
  for (const auto& [rows, depth, columns] : {std::tuple<int64_t, int64_t, int64_t>{1, 16, 16}, {37, 1152, 32}, {5, 80, 48}})
    for (const DType type : {DType::bfloat16, DType::float32}) {
      auto x = rounded_to_bfloat16(random_values(rows * depth, 1)), w = random_values(columns * depth, 2),
           b = rounded_to_bfloat16(random_values(columns, 3));
      std::fill_n(x.begin(), depth, 0.f);          // a row of zeros
      for (int64_t k = 0; k < depth; ++k) w[size_t(k)] *= 1000;
      const auto narrow_x = rounded_to_float8(x, depth), narrow_w = rounded_to_float8(w, depth);
      std::vector<double> expected, magnitude;   // magnitude: of a sum's products
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t n = 0; n < columns; ++n) {
          double sum = b[size_t(n)], of_products = 0;
          for (int64_t k = 0; k < depth; ++k) {
            const double product = double(narrow_x[size_t(r * depth + k)]) * narrow_w[size_t(n * depth + k)];
            sum += product;
            of_products += std::abs(product);
          }
          expected.push_back(sum);
          magnitude.push_back(of_products);
        }
      const DeviceArray in(device, {rows, depth}, x, type), bias(device, {columns}, b, type), out(device, {rows, columns}, type);
      const PackedWeights weight = device.pack(DeviceArray(device, {columns, depth}, w).view, DType::float8);
      EXPECT_EQ(weight.dtype, DType::float8);
      device.linear(in.view, weight, &bias.view, Activation::none, out.view);
      const auto got = out.values();
      for (size_t i = 0; i < got.size(); ++i)
        EXPECT_NEAR(got[i], expected[i], std::abs(expected[i]) * 0.004 + magnitude[i] * 0x1p-13 + 1e-6) << rows << ' ' << depth;
    }
}

TEST(Float8Products, AreNotFiniteWhereARowIsNot) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  if (!gpu.backend) GTEST_SKIP() << gpu.absence;
  Backend& device = *gpu.backend;
  if (!scales_float8_rows(device)) GTEST_SKIP() << device.name() << " has no scales for rows of float8";
  for (const float poison : {NAN, INFINITY}) {
    auto x = random_values(2 * 32, 1);
    x[35] = poison;
    const DeviceArray in(device, {2, 32}, x, DType::bfloat16), out(device, {2, 16}, DType::bfloat16);
    device.linear(in.view, device.pack(DeviceArray(device, {16, 32}, random_values(16 * 32, 2)).view, DType::float8), nullptr, Activation::none,
                  out.view);
    const auto got = out.values();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(std::isfinite(got[i]), i < 16) << i;
  }
}

TEST(Bfloat16Products, OfAConvolutionAreThoseOfItsRoundedPatches) {
  const TestGpu narrow(CudaPrecision::bfloat16), wide(CudaPrecision::float32);
  if (!narrow.backend) GTEST_SKIP() << narrow.absence;
  const ConvolutionGeometry geometry{.kernel = {3, 3, 3}, .stride = {1, 2, 1}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}};
  const Shape in_shape{2, 5, 6, 7, 16}, out_shape{2, 5, 3, 7, 24};
  const auto x = rounded_to_bfloat16(random_values(2 * 5 * 6 * 7 * 16, 1)), w = rounded_to_bfloat16(random_values(24 * 27 * 16, 2)),
             b = random_values(24, 3);
  const auto run = [&](Backend& device) {
    const DeviceArray in(device, in_shape, x), bias(device, {24}, b);
    DeviceArray out(device, out_shape);
    device.convolution(in.view, device.pack_exactly(DeviceArray(device, {24, 27 * 16}, w).view), &bias.view, geometry, out.view);
    return out.values();
  };
  const auto expected = run(*wide.backend);
  EXPECT_LT(largest_difference(run(*narrow.backend), {expected.begin(), expected.end()}), 1e-3);
}

}  // namespace
}  // namespace pyracast
