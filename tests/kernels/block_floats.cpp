// Products in block floating point: 16-bit integers, a scale for each row and 192 values of depth, exact sums between.
#include <gtest/gtest.h>
#include <omp.h>

#include "kernels/cpu/cpu_backend.hpp"
#include "tests/kernels/devices.hpp"
#include "tests/kernels/shared_out.hpp"

namespace pyracast {

namespace {

std::vector<std::shared_ptr<Backend>> processors() {
  auto devices = test_devices();
  std::erase_if(devices, [](const auto& device) { return !device->name().starts_with("cpu"); });
  return devices;
}

struct Product {
  int64_t rows, depth, columns;
  std::vector<float> x, w;

  std::vector<float> on(Backend& device, int64_t first = 0, int64_t count = -1) const {
    const int64_t rows_taken = count < 0 ? rows : count;
    const PackedWeights weight = device.pack(DeviceArray(device, {columns, depth}, w).view, DType::int16);
    const DeviceArray in(device, {rows_taken, depth}, {x.begin() + first * depth, x.begin() + (first + rows_taken) * depth});
    DeviceArray out(device, {rows_taken, columns});
    device.linear(in.view, weight, nullptr, Activation::none, out.view);
    return out.values();
  }

  /// The largest error of an element in parts of the norms of its row and its column.
  double largest_error(const std::vector<float>& found) const {
    double largest = 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t n = 0; n < columns; ++n) {
        double sum = 0, of_x = 0, of_w = 0;
        for (int64_t k = 0; k < depth; ++k) {
          const double a = x[size_t(r * depth + k)], b = w[size_t(n * depth + k)];
          sum += a * b, of_x += a * a, of_w += b * b;
        }
        largest = std::max(largest, std::abs(found[size_t(r * columns + n)] - sum) / std::sqrt(of_x * of_w));
      }
    return largest;
  }
};

Product random_product(int64_t rows, int64_t depth, int64_t columns) {
  return {rows, depth, columns, random_values(rows * depth, 1), random_values(columns * depth, 2)};
}

// A factor's rounding errs by sqrt(depth / 12) of its scale, which is the norm over 46000: 8.7e-5 of a block's norm for each factor,
// and an element by that over the square root of the depth, a few times as much at most.
TEST(BlockFloats, ErrByAFewTenThousandthsOfTheFactorsNorms) {
  for (const auto& device : processors())
    for (const auto& [rows, depth, columns] :
         {std::tuple<int64_t, int64_t, int64_t>{1, 1, 1}, {5, 17, 33}, {7, 192, 32}, {97, 300, 65}, {200, 72, 600}, {13, 577, 7}}) {
      const Product product = random_product(rows, depth, columns);
      EXPECT_LT(product.largest_error(product.on(*device)), 2e-4) << device->name() << ' ' << rows << ' ' << depth << ' ' << columns;
    }
}

// What the published models' bfloat16 errs by is 2.5e-3 (both factors rounded).
TEST(BlockFloats, ErrOverAllByATwentiethOfWhatBfloat16Does) {
  const Product product = random_product(60, 1152, 96);
  for (const auto& device : processors()) {
    const std::vector<float> found = product.on(*device);
    double error = 0, norm = 0;
    for (int64_t r = 0; r < product.rows; ++r)
      for (int64_t n = 0; n < product.columns; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < product.depth; ++k)
          sum += double(product.x[size_t(r * product.depth + k)]) * product.w[size_t(n * product.depth + k)];
        error += std::pow(found[size_t(r * product.columns + n)] - sum, 2);
        norm += sum * sum;
      }
    EXPECT_LT(std::sqrt(error / norm), 2.5e-3 / 20) << device->name();
  }
}

TEST(BlockFloats, DoNotOverflowWhereAllProductsHaveOneSign) {
  for (const auto& device : processors())
    for (const int64_t depth : {1, 2, 191, 192, 193, 400})
      for (const float base : {1e-3f, 1.f, -3e4f}) {
        Product product{7, depth, 33, std::vector<float>(size_t(7 * depth), base), std::vector<float>(size_t(33 * depth), base)};
        EXPECT_LT(product.largest_error(product.on(*device)), 4e-4) << device->name() << ' ' << depth;   // all are rounded alike
        for (int64_t r = 0; r < 7; ++r) product.x[size_t(r * depth + r % depth)] *= 1000;   // nearly all of the norm in one value
        for (int64_t n = 0; n < 33; ++n) product.w[size_t(n * depth + n % depth)] *= 1000;
        EXPECT_LT(product.largest_error(product.on(*device)), 2e-4) << device->name() << ' ' << depth << ", an outlier a row";
      }
}

TEST(BlockFloats, KeepTheScaleOfEachRowAndEachBlock) {
  for (const auto& device : processors()) {
    Product product = random_product(12, 400, 40);
    for (int64_t r = 0; r < product.rows; ++r)
      for (int64_t k = 0; k < 400; ++k) product.x[size_t(r * 400 + k)] *= float(std::pow(10, r - 6));
    EXPECT_LT(product.largest_error(product.on(*device)), 2e-4) << device->name();
  }
}

TEST(BlockFloats, GiveZeroForZerosAndNoNumberForNone) {
  for (const auto& device : processors()) {
    Product product = random_product(4, 250, 35);
    std::fill_n(product.x.begin(), 250, 0.f);
    product.x[250 + 10] = NAN;
    product.x[500 + 240] = INFINITY;
    const std::vector<float> found = product.on(*device);
    for (int64_t n = 0; n < 35; ++n) {
      EXPECT_EQ(found[size_t(n)], 0) << device->name();
      EXPECT_FALSE(std::isfinite(found[size_t(35 + n)])) << device->name();
      EXPECT_FALSE(std::isfinite(found[size_t(70 + n)])) << device->name();
      EXPECT_TRUE(std::isfinite(found[size_t(105 + n)])) << device->name();
    }
  }
}

TEST(BlockFloats, GiveARowTheSameBitsWhateverItsNeighboursAndThreads) {
  const SharedOut everything;
  for (const auto& device : processors()) {
    const Product product = random_product(211, 1152, 70);
    omp_set_num_threads(1);
    const std::vector<float> whole = product.on(*device);
    for (const int threads : {1, 2, 3})
      for (const int64_t count : {1, 5, 6, 7, 96, 210})
        for (const int64_t first : {0, 1}) {
          omp_set_num_threads(threads);
          const std::vector<float> expected(whole.begin() + first * 70, whole.begin() + (first + count) * 70);
          EXPECT_EQ(product.on(*device, first, count), expected) << device->name() << ' ' << threads << " threads, rows " << first << " + " << count;
        }
    omp_set_num_threads(omp_get_num_procs());
  }
}

TEST(BlockFloats, GiveTheSameBitsOnEveryInstructionSetWithFusedMultiplyAdd) {
  const Product product = random_product(50, 701, 90);
  std::vector<std::vector<float>> results;
  for (const auto& device : processors())
    if (!device->name().starts_with("cpu-portable")) results.push_back(product.on(*device));
  if (results.size() < 2) GTEST_SKIP() << "this processor has no AVX2 with FMA";
  for (const auto& result : results) EXPECT_EQ(result, results.front());
}

TEST(BlockFloats, AreThoseOfTheWidenedWeightsWhereTheseAreBfloat16) {
  for (const auto& device : processors()) {
    const int64_t rows = 11, depth = 320, columns = 45;
    Product product = random_product(rows, depth, columns);
    const std::vector<bfloat16> stored(product.w.begin(), product.w.end());
    for (size_t i = 0; i < stored.size(); ++i) product.w[i] = float(stored[i]);
    const auto memory = device->allocate(stored.size() * 2);
    View half{memory.get(), DType::bfloat16, {columns, depth}};
    device->upload(stored.data(), half);
    const PackedWeights weight = device->pack(half, DType::int16);
    const DeviceArray in(*device, {rows, depth}, product.x);
    DeviceArray out(*device, {rows, columns});
    device->linear(in.view, weight, nullptr, Activation::none, out.view);
    EXPECT_EQ(out.values(), product.on(*device)) << device->name();
    EXPECT_LE(double(weight.bytes), 1.02 * 64 * double(depth) * 2) << "two bytes a weight of two panels, and the scales";
  }
}

// One position sees all of the input: the same product as a linear's.
TEST(BlockFloats, MultiplyAConvolutionsPatches) {
  for (const auto& device : processors()) {
    const int64_t channels = 50, taps = 9, columns = 37;
    const Product product = random_product(1, taps * channels, columns);
    const PackedWeights weight = device->pack(DeviceArray(*device, {columns, taps * channels}, product.w).view, DType::int16);
    const DeviceArray in(*device, {1, 1, 3, 3, channels}, product.x);
    DeviceArray out(*device, {1, 1, 3, 3, columns});
    device->convolution(in.view, weight, nullptr, {.kernel = {1, 3, 3}, .pad_before = {0, 1, 1}, .pad_after = {0, 1, 1}}, out.view);
    const std::vector<float> all = out.values();
    EXPECT_EQ(std::vector<float>(all.begin() + 4 * columns, all.begin() + 5 * columns), product.on(*device)) << device->name();
  }
}

// Taps in the padding are left out, a whole tile of them at a time: here the first blocks of depth of the first rows.
TEST(BlockFloats, GiveZeroWhereAllTapsLieInThePadding) {
  for (const auto& device : processors()) {
    const int64_t channels = 200, columns = 33, width = 20;
    const auto w = random_values(columns * 3 * channels, 2), x = random_values(2 * width * channels, 1);
    const DeviceArray in(*device, {1, 2, 1, width, channels}, x);
    DeviceArray exact(*device, {1, 2, 1, width, columns}), rounded(*device, {1, 2, 1, width, columns});
    const DeviceArray weight(*device, {columns, 3 * channels}, w);
    const ConvolutionGeometry causal{.kernel = {3, 1, 1}, .pad_before = {2, 0, 0}};
    device->convolution(in.view, device->pack(weight.view, DType::int16), nullptr, causal, rounded.view);
    device->convolution(in.view, device->pack_exactly(weight.view), nullptr, causal, exact.view);
    const std::vector<float> expected = exact.values();
    EXPECT_LT(largest_difference(rounded.values(), {expected.begin(), expected.end()}), 0.02) << device->name();
  }
}

TEST(BlockFloats, MultiplyPatchesTransformedByWinogradsAlgorithm) {
  const int64_t channels = 100, columns = 70, size = 9;
  const ConvolutionGeometry causal{.kernel = {3, 3, 3}, .pad_before = {2, 1, 1}, .pad_after = {0, 1, 1}};
  const auto w = random_values(columns * 27 * channels, 2, 1 / std::sqrt(27.f * channels)), x = random_values(3 * size * size * channels, 1);
  std::vector<std::vector<float>> results;
  for (const auto& device : processors()) {
    const DeviceArray in(*device, {1, 3, size, size, channels}, x), weight(*device, {columns, 27 * channels}, w);
    const auto run = [&](DType as) {
      DeviceArray out(*device, {1, 3, size, size, columns});
      const PackedWeights packed = device->pack(weight.view, device->packing(causal, channels, columns, as));
      EXPECT_TRUE(packed.layout == WeightLayout::winograd && packed.dtype == as);
      device->convolution(in.view, packed, nullptr, causal, out.view);
      return out.values();
    };
    const std::vector<float> rounded = run(DType::int16), exact = run(DType::float32);
    if (!device->name().starts_with("cpu-portable")) results.push_back(rounded);   // it fuses no multiply-add
    double errors = 0, squares = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      errors += std::pow(double(rounded[i]) - exact[i], 2);
      squares += double(exact[i]) * exact[i];
    }
    EXPECT_LT(std::sqrt(errors / squares), 4e-4) << device->name();
    EXPECT_GT(errors, 0) << device->name();
  }
  for (const auto& result : results) EXPECT_EQ(result, results.front());
}

}  // namespace
}  // namespace pyracast
