#include <gtest/gtest.h>
#include <omp.h>

#include "tests/kernels/devices.hpp"
#include "tests/kernels/layer.hpp"
#include "tests/kernels/shared_out.hpp"

namespace pyracast {
namespace {

const Layer layers[] = {
    {{2, 1, 5, 7, 3}, 8, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}},
    {{1, 6, 4, 5, 12}, 20, {.kernel = {3, 3, 3}, .stride = {2, 1, 1}, .pad_before = {1, 1, 1}, .pad_after = {0, 1, 1}}},
    {{3, 1, 6, 6, 40}, 33, {.kernel = {1, 3, 3}, .stride = {1, 2, 2}, .pad_after = {0, 1, 1}}},
    {{2, 3, 4, 6, 4}, 96, {.kernel = {1, 2, 2}, .stride = {1, 2, 2}}},
    {{1, 2, 3, 3, 64}, 5, {.kernel = {1, 1, 1}}},
    {{1, 3, 2, 6, 40}, 7, {.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}}},   // whole tiles of zeros
    // By Winograd's algorithm on the CPU: odd sizes, several tasks, all of the channels' and columns' edges.
    {{2, 1, 5, 7, 32}, 40, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}},
    {{1, 1, 24, 22, 33}, 600, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}},
    {{1, 3, 4, 6, 200}, 33, {.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}}},   // whole tiles of zeros
    {{2, 6, 3, 4, 50}, 64, {.kernel = {3, 3, 3}, .stride = {2, 1, 1}, .pad_before = {1, 0, 2}, .pad_after = {0, 1, 0}}},
    {{1, 1, 3, 3, 64}, 32, {.kernel = {1, 3, 3}}},
    {{1, 2, 1, 1, 32}, 32, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}},
    // With taps as columns on the CPU: several strips, rows wider than a task's, more channels than a block, uneven padding, stride in time.
    {{2, 1, 70, 5, 64}, 3, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}},
    {{1, 3, 4, 250, 70}, 4, {.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}}},
    {{1, 5, 5, 3, 200}, 7, {.kernel = {3, 3, 3}, .stride = {2, 1, 1}, .pad_before = {1, 0, 2}, .pad_after = {0, 1, 0}}},
    {{1, 1, 3, 3, 64}, 1, {.kernel = {1, 3, 3}}},
};

bool is_by_tap_columns(const Layer& s) { return s.in[4] >= 64 && s.out_channels <= 7 && s.geometry.kernel[2] == 3 && s.geometry.stride[2] == 1; }
bool is_by_winograd(const Layer& s) { return s.in[4] >= 32 && s.out_channels >= 32 && s.geometry.kernel[2] == 3 && s.geometry.stride[2] == 1; }

// The definition, in double.
std::vector<double> direct(const Layer& s, const std::vector<float>& x, const std::vector<float>& w,
                           const std::vector<float>& bias) {
  const Shape out = s.out();
  const auto& g = s.geometry;
  std::vector<double> result;
  for (int64_t b = 0; b < out[0]; ++b)
    for (int64_t t = 0; t < out[1]; ++t)
      for (int64_t h = 0; h < out[2]; ++h)
        for (int64_t v = 0; v < out[3]; ++v)
          for (int64_t o = 0; o < out[4]; ++o) {
            double sum = bias[size_t(o)];
            for (int64_t kt = 0; kt < g.kernel[0]; ++kt)
              for (int64_t kh = 0; kh < g.kernel[1]; ++kh)
                for (int64_t kw = 0; kw < g.kernel[2]; ++kw) {
                  const int64_t it = t * g.stride[0] + kt - g.pad_before[0], ih = h * g.stride[1] + kh - g.pad_before[1],
                                iw = v * g.stride[2] + kw - g.pad_before[2];
                  if (it < 0 || ih < 0 || iw < 0 || it >= s.in[1] || ih >= s.in[2] || iw >= s.in[3]) continue;
                  for (int64_t c = 0; c < s.in[4]; ++c)
                    sum += double(x[size_t((((b * s.in[1] + it) * s.in[2] + ih) * s.in[3] + iw) * s.in[4] + c)]) *
                           w[size_t((((o * g.kernel[0] + kt) * g.kernel[1] + kh) * g.kernel[2] + kw) * s.in[4] + c)];
                }
            result.push_back(sum);
          }
  return result;
}

std::vector<float> run(Backend& backend, const Layer& s, const std::vector<float>& x, const std::vector<float>& w,
                       const std::vector<float>& bias) {
  const auto weight = backend.pack(DeviceArray(backend, {s.out_channels, s.depth()}, w).view,
                                   backend.packing(s.geometry, s.in[4], s.out_channels, DType::float32));
  EXPECT_EQ(weight.layout, !backend.name().starts_with("cpu") ? WeightLayout::published : is_by_winograd(s) ? WeightLayout::winograd
                           : is_by_tap_columns(s)                     ? WeightLayout::tap_columns
                                                                      : WeightLayout::published);
  const DeviceArray in(backend, s.in, x), add(backend, {s.out_channels}, bias);
  DeviceArray out(backend, s.out());
  backend.convolution(in.view, weight, &add.view, s.geometry, out.view);
  return out.values();
}

TEST(Convolution, EqualsItsDefinition) {
  for (const auto& device : test_devices())
    for (const Layer& s : layers) {
      const auto x = random_values(View{nullptr, DType::float32, s.in}.size(), 1);
      const auto w = random_values(s.out_channels * s.depth(), 2), bias = random_values(s.out_channels, 3);
      const double spread = std::sqrt(double(s.depth()));   // of a sum of products of normal values
      EXPECT_LT(largest_difference(run(*device, s, x, w, bias), direct(s, x, w, bias)), 1e-5 * spread) << device->name();
    }
}

TEST(Convolution, IsByWinogradOrWithTapsAsColumnsWhereThatIsFaster) {
  const auto cpu = make_cpu_backend();
  const ConvolutionGeometry flat{.kernel = {1, 3, 3}}, cube{.kernel = {3, 3, 3}}, wide{.kernel = {1, 5, 5}},
      strided{.kernel = {1, 3, 3}, .stride = {1, 2, 2}};
  const auto packing = [&](const ConvolutionGeometry& geometry, int64_t in, int64_t out, DType as) {
    const Packing chosen = cpu->packing(geometry, in, out, as);
    EXPECT_EQ(chosen.channels, chosen.layout == WeightLayout::published ? 0 : in);
    return std::pair(chosen.dtype, chosen.layout);
  };
  EXPECT_EQ(packing(flat, 32, 32, DType::float32), std::pair(DType::float32, WeightLayout::winograd));
  EXPECT_EQ(packing(cube, 96, 32, DType::int16), std::pair(DType::int16, WeightLayout::winograd));
  EXPECT_EQ(packing(flat, 95, 32, DType::int16), std::pair(DType::float32, WeightLayout::winograd)) << "few channels are not worth quantizing";
  EXPECT_EQ(packing(flat, 64, 64, DType::bfloat16), std::pair(DType::float32, WeightLayout::winograd))
      << "transformed weights are no bfloat16 numbers";
  for (const DType as : {DType::float32, DType::bfloat16, DType::int16}) {
    for (const auto& [geometry, in, out] :
         {std::tuple(flat, 31, 64), {flat, 63, 3}, {flat, 64, 8}, {wide, 64, 64}, {strided, 64, 64}, {strided, 64, 3}})
      EXPECT_EQ(packing(geometry, in, out, as), std::pair(as, WeightLayout::published)) << in << ' ' << out;
    EXPECT_EQ(packing(flat, 64, 3, as), std::pair(as, WeightLayout::tap_columns));
    EXPECT_EQ(packing(cube, 128, 7, as), std::pair(as, WeightLayout::tap_columns));
  }
}

TEST(Convolution, HasTheSameBitsOnAllProcessorsThatFuseMultiplyAdds) {
  for (const Layer& s : layers) {
    const auto x = random_values(View{nullptr, DType::float32, s.in}.size(), 1);
    const auto w = random_values(s.out_channels * s.depth(), 2), bias = random_values(s.out_channels, 3);
    std::vector<std::vector<float>> results;
    for (const auto& device : test_devices())
      if (device->name().starts_with("cpu-a")) results.push_back(run(*device, s, x, w, bias));
    if (results.size() < 2) GTEST_SKIP() << "this processor has AVX2 at most";
    for (const auto& result : results) EXPECT_EQ(result, results.front());
  }
}

// Weights that lie in bfloat16 are transformed in float32, and no bias is a bias of zeros.
TEST(Convolution, ByWinogradTakesBfloat16WeightsAndNoBias) {
  const Layer s{{1, 2, 5, 4, 40}, 48, {.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}}};
  const auto cpu = make_cpu_backend();
  const auto x = random_values(View{nullptr, DType::float32, s.in}.size(), 1), w = rounded_to_bfloat16(random_values(s.out_channels * s.depth(), 2));
  const auto weight = cpu->pack(DeviceArray(*cpu, {s.out_channels, s.depth()}, w, DType::bfloat16).view,
                                cpu->packing(s.geometry, s.in[4], s.out_channels, DType::bfloat16));
  DeviceArray out(*cpu, s.out());
  cpu->convolution(DeviceArray(*cpu, s.in, x).view, weight, nullptr, s.geometry, out.view);
  EXPECT_EQ(out.values(), run(*cpu, s, x, w, std::vector<float>(size_t(s.out_channels))));
  EXPECT_EQ(weight.bytes, size_t(64 * 16 * 3 * 40 * 4)) << "16 float32 values of each 3x3 kernel, columns filled up to panels of 32";
}

TEST(Convolution, GivesABatchEntryTheSameBitsAloneAndOnAnyNumberOfThreads) {
  const SharedOut everything;
  for (const auto& device : test_devices())
    for (const Layer& s : layers) {
      const int64_t all = View{nullptr, DType::float32, s.in}.size(), each = all / s.in[0];
      const auto x = random_values(all, 1);
      const auto w = random_values(s.out_channels * s.depth(), 2), bias = random_values(s.out_channels, 3);
      omp_set_num_threads(1);
      const auto whole = run(*device, s, x, w, bias);
      omp_set_num_threads(3);
      Layer single = s;
      single.in[0] = 1;
      const size_t out_each = whole.size() / size_t(s.in[0]);
      for (int64_t b = 0; b < s.in[0]; ++b)
        EXPECT_EQ(run(*device, single, {x.begin() + b * each, x.begin() + (b + 1) * each}, w, bias),
                  std::vector<float>(whole.begin() + b * int64_t(out_each), whole.begin() + (b + 1) * int64_t(out_each)));
      omp_set_num_threads(omp_get_num_procs());
    }
}

}  // namespace
}  // namespace pyracast
