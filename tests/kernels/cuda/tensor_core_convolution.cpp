// Convolutions on a GPU's tensor cores against their definition in double, of the same factors in bfloat16.
#include "kernels/cuda/tensor_core_convolution.hpp"

#include <gtest/gtest.h>

#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/scratch.hpp"
#include "tests/kernels/devices.hpp"
#include "tests/kernels/layer.hpp"

namespace pyracast {
namespace {

const ConvolutionGeometry of_frames{.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}};
const ConvolutionGeometry causal{.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}};
const ConvolutionGeometry halving{.kernel = {3, 3, 3}, .stride = {2, 2, 2}, .pad_before = {1, 0, 1}, .pad_after = {0, 1, 1}};

// Channels that end inside a step of 32 and taps that begin there, columns and positions that end inside tiles, whole taps of padding.
const Layer layers[] = {
    {{2, 1, 5, 7, 8}, 3, of_frames},  {{1, 4, 3, 5, 8}, 16, causal},    {{1, 5, 6, 7, 16}, 20, halving}, {{3, 1, 9, 5, 24}, 64, of_frames},
    {{1, 3, 2, 6, 40}, 65, causal},   {{1, 1, 13, 10, 64}, 130, of_frames}, {{2, 2, 4, 4, 32}, 7, {.kernel = {3, 1, 1}, .pad_before = {2, 0, 0}}},
    {{1, 1, 1, 1, 48}, 9, of_frames}, {{1, 7, 2, 3, 16}, 17, {.kernel = {1, 2, 2}, .stride = {1, 2, 1}}},
    {{1, 3, 8, 17, 8}, 128, {.kernel = {2, 2, 2}, .pad_after = {1, 1, 1}}},
};

/// In double, and of each element the sum of its products' magnitudes, which its error is measured by.
struct Definition {
  std::vector<double> result, magnitude;

  Definition(const Layer& s, const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& bias) {
    const Shape out = s.out();
    const auto& g = s.geometry;
    for (int64_t i = 0; i < View{nullptr, DType::float32, out}.size(); ++i) {
      const int64_t column = i % s.out_channels,
                    at[3] = {i / (out[4] * out[3] * out[2]) % out[1], i / (out[4] * out[3]) % out[2], i / out[4] % out[3]};
      double sum = bias[size_t(column)], of_magnitudes = std::abs(sum);
      for (int64_t tap = 0; tap < s.taps(); ++tap) {
        const int64_t of_kernel[3] = {tap / (g.kernel[1] * g.kernel[2]), tap / g.kernel[2] % g.kernel[1], tap % g.kernel[2]};
        int64_t pixel = i / View{nullptr, DType::float32, {out[1], out[2], out[3], out[4]}}.size();
        bool inside = true;
        for (int axis = 0; axis < 3; ++axis) {
          const int64_t where = at[axis] * g.stride[axis] + of_kernel[axis] - g.pad_before[axis], size = s.in[size_t(axis) + 1];
          inside = inside && where >= 0 && where < size;
          pixel = pixel * size + where;
        }
        if (!inside) continue;
        for (int64_t c = 0; c < s.in[4]; ++c) {
          const double product = double(x[size_t(pixel * s.in[4] + c)]) * w[size_t((column * s.taps() + tap) * s.in[4] + c)];
          sum += product;
          of_magnitudes += std::abs(product);
        }
      }
      result.push_back(sum);
      magnitude.push_back(of_magnitudes);
    }
  }
};

class TensorCoreConvolution : public testing::Test {
 protected:
  void SetUp() override {
    if (!gpu_.backend) GTEST_SKIP() << gpu_.absence;
  }
  CudaBackend& device() { return dynamic_cast<CudaBackend&>(*gpu_.backend); }

  std::vector<float> run(const Layer& s, const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>* bias, DType out_type) {
    const DeviceArray in(device(), s.in, x, DType::bfloat16), weight(device(), {s.out_channels, s.taps() * s.in[4]}, w, DType::bfloat16);
    const DeviceArray out(device(), s.out(), out_type), added(device(), {s.out_channels}, bias ? *bias : std::vector<float>(size_t(s.out_channels)));
    cuda::tensor_core_convolution(device().stream(), cuda::patches_of<bfloat16>(in.view, s.geometry, out.view),
                                  static_cast<const bfloat16*>(weight.view.data), bias ? cuda::floats(added.view) : nullptr, nullptr, out.view);
    return out.values();
  }

 private:
  const TestGpu gpu_{CudaPrecision::bfloat16};
};

std::vector<float> x_of(const Layer& s) { return rounded_to_bfloat16(random_values(View{nullptr, DType::float32, s.in}.size(), 1)); }
std::vector<float> weight_of(const Layer& s) { return rounded_to_bfloat16(random_values(s.out_channels * s.taps() * s.in[4], 2)); }

TEST_F(TensorCoreConvolution, EqualsItsDefinition) {
  int number = 0;
  for (const Layer& s : layers) {
    const auto x = x_of(s), w = weight_of(s), bias = random_values(s.out_channels, 3);
    const Definition expected(s, x, w, bias);
    const auto found = run(s, x, w, &bias, DType::float32);
    ASSERT_EQ(found.size(), expected.result.size());
    for (size_t i = 0; i < found.size(); ++i) ASSERT_LT(std::abs(found[i] - expected.result[i]), 1e-5 * expected.magnitude[i]) << number << ": " << i;
    EXPECT_EQ(run(s, x, w, &bias, DType::bfloat16), rounded_to_bfloat16(found)) << number;
    const std::vector<float> zeros(bias.size());
    EXPECT_EQ(run(s, x, w, nullptr, DType::float32), run(s, x, w, &zeros, DType::float32)) << number++;
  }
}

TEST_F(TensorCoreConvolution, GivesABatchEntryTheSameBitsAlone) {
  for (const Layer& s : layers) {
    if (s.in[0] == 1) continue;
    const auto x = x_of(s), w = weight_of(s);
    const auto whole = run(s, x, w, nullptr, DType::float32);
    Layer single = s;
    single.in[0] = 1;
    const int64_t in = int64_t(x.size()) / s.in[0], out = int64_t(whole.size()) / s.in[0];
    for (int64_t b = 0; b < s.in[0]; ++b)
      EXPECT_EQ(run(single, {x.begin() + b * in, x.begin() + (b + 1) * in}, w, nullptr, DType::float32),
                std::vector<float>(whole.begin() + b * out, whole.begin() + (b + 1) * out));
  }
}

// What is not finite beside a patch does not reach it: padding is not read, nor multiplied by zero.
TEST_F(TensorCoreConvolution, ReadsNothingThatIsNotOfThePatch) {
  const Layer s{{1, 1, 4, 9, 16}, 5, of_frames};
  auto x = x_of(s);
  const auto w = weight_of(s);
  const auto before = run(s, x, w, nullptr, DType::float32);
  for (int64_t row = 0; row < 4; ++row) x[size_t(row * 9 * 16)] = NAN;   // the first column of pixels
  const auto found = run(s, x, w, nullptr, DType::float32);
  for (size_t i = 0; i < found.size(); ++i)
    if (i / 5 % 9 <= 1) EXPECT_TRUE(std::isnan(found[i])) << i;
    else EXPECT_EQ(found[i], before[i]) << i;
}

TEST_F(TensorCoreConvolution, IsLeftToOthersWhereChannelsOrTapsAreNotItsOwn) {
  EXPECT_TRUE(cuda::convolution_in_place(512, 27));
  EXPECT_FALSE(cuda::convolution_in_place(4, 27));
  EXPECT_FALSE(cuda::convolution_in_place(512, 28));
  const Layer s{{1, 1, 4, 9, 12}, 5, of_frames};
  EXPECT_THROW(run(s, x_of(s), weight_of(s), nullptr, DType::float32), Error);
}

}  // namespace
}  // namespace pyracast
