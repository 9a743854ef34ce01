// Products that are added to something: as the product alone, and the sum.
#include <gtest/gtest.h>

#include "tests/kernels/gated_linear.hpp"
#include "tests/kernels/layer.hpp"

namespace pyracast {
namespace {

/// What act(out, residual) computes with and without a residual, and the residual.
struct Sums {
  std::vector<float> product, residual, sum;

  template <class Act>
  Sums(Backend& device, const Shape& shape, DType dtype, Act act) {
    const DeviceArray added(device, shape, random_values(View{nullptr, dtype, shape}.size(), 7), dtype);
    const DeviceArray alone(device, shape, dtype), together(device, shape, dtype);
    act(alone.view, nullptr);
    act(together.view, &added.view);
    product = alone.values();
    residual = added.values();
    sum = together.values();
  }
  std::vector<float> expected() const {
    std::vector<float> out;
    for (size_t i = 0; i < product.size(); ++i) out.push_back(residual[i] + product[i]);
    return out;
  }
};

const LinearSizes linears[] = {{1, 8, 8}, {7, 40, 33}, {500, 24, 72}};

const Layer convolutions[] = {
    {{2, 1, 5, 7, 3}, 8, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}},        // patches are written out on tensor cores
    {{1, 2, 3, 3, 64}, 5, {.kernel = {1, 1, 1}}},                                                          // a linear there
    {{1, 3, 4, 6, 40}, 33, {.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}}},       // by Winograd's algorithm on the CPU
    {{1, 2, 5, 7, 64}, 3, {.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}}},        // with taps as columns there
    {{2, 1, 5, 7, 32}, 600, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}},
};

Sums linear_of(Backend& device, const LinearSizes& s, DType dtype, DType weights) {
  const DeviceArray x(device, {s.rows, s.depth}, random_values(s.rows * s.depth, 1), dtype), bias(device, {s.columns}, random_values(s.columns, 3));
  const PackedWeights weight = device.pack(DeviceArray(device, {s.columns, s.depth}, random_values(s.columns * s.depth, 2)).view, weights);
  return Sums(device, {s.rows, s.columns}, dtype, [&](View out, const View* residual) {
    device.linear(x.view, weight, &bias.view, Activation::none, out, residual);
  });
}

Sums convolution_of(Backend& device, const Layer& s, DType dtype) {
  const DeviceArray x(device, s.in, random_values(View{nullptr, dtype, s.in}.size(), 1), dtype),
      bias(device, {s.out_channels}, random_values(s.out_channels, 3));
  const PackedWeights weight = device.pack(DeviceArray(device, {s.out_channels, s.depth()}, random_values(s.out_channels * s.depth(), 2)).view,
                                           device.packing(s.geometry, s.in[4], s.out_channels, DType::float32));
  return Sums(device, s.out(), dtype, [&](View out, const View* residual) {
    device.convolution(x.view, weight, &bias.view, s.geometry, out, residual);
  });
}

TEST(Residual, IsAddedToLinearsAndConvolutionsWithoutARoundingMore) {
  for (const auto& device : test_devices()) {
    for (const LinearSizes& s : linears) {
      const Sums sums = linear_of(*device, s, DType::float32, DType::float32);
      EXPECT_EQ(sums.sum, sums.expected()) << device->name() << ' ' << s.rows;
    }
    for (const Layer& s : convolutions) {
      const Sums sums = convolution_of(*device, s, DType::float32);
      EXPECT_EQ(sums.sum, sums.expected()) << device->name() << ' ' << s.out_channels;
    }
  }
}

TEST(Residual, TakesAGatedProduct) {
  for (const auto& device : test_devices())
    for (const auto& [s, groups] : gated_linears) {
      const auto [found, expected] = gated_linear_of(*device, s, groups, DType::float32, DType::float32);
      EXPECT_EQ(found, expected) << device->name() << ' ' << s.rows;
    }
  const auto cpu = make_cpu_backend();
  for (const auto& [s, groups] : gated_linears) {
    const auto [found, expected] = gated_linear_of(*cpu, s, groups, DType::float32, DType::int16);
    EXPECT_EQ(found, expected) << "block floats " << s.rows;
  }
}

TEST(Residual, TakesAGatedProductOnTensorCores) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  if (!gpu.backend) GTEST_SKIP() << gpu.absence;
  for (const DType dtype : {DType::float32, DType::bfloat16})
    for (const auto& [s, groups] : gated_linears) {
      const auto [found, expected] = gated_linear_of(*gpu.backend, s, groups, dtype, DType::float32);
      EXPECT_EQ(found, expected) << s.rows;
    }
}

TEST(Residual, IsAddedToFastProductsToo) {
  const auto device = make_cpu_backend();
  for (const LinearSizes& s : linears) {
    const Sums sums = linear_of(*device, s, DType::float32, DType::int16);
    EXPECT_EQ(sums.sum, sums.expected()) << s.rows;
  }
}

// Rounded to bfloat16 once, where the product alone and the sum are each.
TEST(Residual, IsAddedOnTensorCores) {
  const TestGpu gpu(CudaPrecision::bfloat16);
  if (!gpu.backend) GTEST_SKIP() << gpu.absence;
  const auto expect_near = [](const Sums& sums, const std::string& what) {
    const std::vector<float> expected = sums.expected();
    for (size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(sums.sum[i], expected[i], 0x1p-8 * (std::abs(sums.product[i]) + std::abs(expected[i])) + 1e-6) << what << ' ' << i;
  };
  for (const DType dtype : {DType::float32, DType::bfloat16}) {
    for (const LinearSizes& s : linears) expect_near(linear_of(*gpu.backend, s, dtype, DType::float32), concat("linear of ", s.rows));
    if (scales_float8_rows(*gpu.backend)) expect_near(linear_of(*gpu.backend, {48, 32, 64}, dtype, DType::float8), "float8");
    for (const Layer& s : convolutions) expect_near(convolution_of(*gpu.backend, s, dtype), concat("convolution to ", s.out_channels));
  }
}

}  // namespace
}  // namespace pyracast
