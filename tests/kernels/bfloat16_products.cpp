// Products on a GPU's tensor cores: factors rounded to bfloat16, sums in float32.
#include <gtest/gtest.h>

#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

std::vector<float> rounded(std::vector<float> values) {
  for (float& value : values) value = round_to_bfloat16(value);
  return values;
}

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
    for (const auto& [rows, depth, columns] : {std::tuple<int64_t, int64_t, int64_t>{1, 8, 8}, {7, 256, 32}, {97, 304, 64}, {200, 72, 600}, {5, 17, 33}})
      for (const bool with_bias : {true, false}) {
        const auto x = random_values(rows * depth, 1), w = random_values(columns * depth, 2), b = random_values(columns, 3);
        const auto narrow_x = rounded(x), narrow_w = rounded(w);
        std::vector<double> expected;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t n = 0; n < columns; ++n) {
            double sum = with_bias ? b[size_t(n)] : 0;
            for (int64_t k = 0; k < depth; ++k) sum += double(narrow_x[size_t(r * depth + k)]) * narrow_w[size_t(n * depth + k)];
            expected.push_back(activated(activation, sum));
          }
        const DeviceArray in(device, {rows, depth}, x), bias(device, {columns}, b);
        DeviceArray out(device, {rows, columns});
        device.linear(in.view, device.pack_exactly(DeviceArray(device, {columns, depth}, w).view), with_bias ? &bias.view : nullptr, activation,
                      out.view);
        EXPECT_LT(largest_difference(out.values(), expected), 2e-5 * double(depth) + 1e-4) << int(activation) << ' ' << rows << ' ' << depth;
      }
}

TEST(Bfloat16Products, OfAConvolutionAreThoseOfItsRoundedPatches) {
  const TestGpu narrow(CudaPrecision::bfloat16), wide(CudaPrecision::float32);
  if (!narrow.backend) GTEST_SKIP() << narrow.absence;
  const ConvolutionGeometry geometry{.kernel = {3, 3, 3}, .stride = {1, 2, 1}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}};
  const Shape in_shape{2, 5, 6, 7, 16}, out_shape{2, 5, 3, 7, 24};
  const auto x = rounded(random_values(2 * 5 * 6 * 7 * 16, 1)), w = rounded(random_values(24 * 27 * 16, 2)), b = random_values(24, 3);
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
