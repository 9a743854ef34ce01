#include <gtest/gtest.h>
#include <omp.h>

#include "tests/kernels/devices.hpp"
#include "tests/kernels/shared_out.hpp"

namespace pyracast {
namespace {

std::vector<double> product(const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& bias,
                            int64_t rows, int64_t depth, int64_t columns) {
  std::vector<double> out(size_t(rows * columns));
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t n = 0; n < columns; ++n) {
      double sum = bias[size_t(n)];
      for (int64_t k = 0; k < depth; ++k) sum += double(x[size_t(r * depth + k)]) * w[size_t(n * depth + k)];
      out[size_t(r * columns + n)] = sum;
    }
  return out;
}

struct Sizes {
  int64_t rows, depth, columns;
};
const Sizes sizes[] = {{1, 1, 1}, {5, 17, 33}, {7, 256, 32}, {97, 300, 65}, {200, 72, 600}, {13, 513, 7}};

std::vector<float> run_linear(Backend& backend, const std::vector<float>& x, const PackedWeights& weight,
                              const std::vector<float>& bias, int64_t rows, Activation activation = Activation::none) {
  const DeviceArray in(backend, {rows, weight.depth}, x), add(backend, {weight.columns}, bias);
  DeviceArray out(backend, {rows, weight.columns});
  backend.linear(in.view, weight, &add.view, activation, out.view);
  return out.values();
}

TEST(Linear, MultipliesByTheTransposedWeightAndAddsTheBias) {
  for (const auto& device : test_devices())
    for (const auto [rows, depth, columns] : sizes) {
      const auto x = random_values(rows * depth, 1), w = random_values(columns * depth, 2), b = random_values(columns, 3);
      const auto weight = device->pack_exactly(DeviceArray(*device, {columns, depth}, w).view);
      EXPECT_LT(largest_difference(run_linear(*device, x, weight, b, rows), product(x, w, b, rows, depth, columns)),
                1e-6 * double(depth) + 1e-5)
          << device->name() << ' ' << rows << ' ' << depth << ' ' << columns;
    }
}

TEST(Linear, KeepsBfloat16WeightsExactly) {
  for (const auto& device : test_devices()) {
    const int64_t rows = 11, depth = 300, columns = 45;
    const auto x = random_values(rows * depth, 1), b = random_values(columns, 3);
    auto w = random_values(columns * depth, 2);
    std::vector<bfloat16> stored(w.begin(), w.end());
    for (size_t i = 0; i < w.size(); ++i) w[i] = float(stored[i]);
    const auto memory = device->allocate(stored.size() * 2);
    View half{memory.get(), DType::bfloat16, {columns, depth}};
    device->upload(stored.data(), half);
    const auto wide = device->pack_exactly(DeviceArray(*device, {columns, depth}, w).view);
    EXPECT_EQ(run_linear(*device, x, device->pack_exactly(half), b, rows), run_linear(*device, x, wide, b, rows)) << device->name();
  }
}

TEST(Linear, GivesARowTheSameBitsWhateverItsNeighboursAndThreads) {
  const SharedOut everything;
  for (const auto& device : test_devices())
    for (const auto& [depth, columns] : {std::pair<int64_t, int64_t>{96, 288}, {1152, 70}, {17, 33}}) {
      const int64_t rows = 211;
      const auto x = random_values(rows * depth, 1), w = random_values(columns * depth, 2), b = random_values(columns, 3);
      const auto weight = device->pack_exactly(DeviceArray(*device, {columns, depth}, w).view);
      omp_set_num_threads(1);
      const auto whole = run_linear(*device, x, weight, b, rows, Activation::gelu_tanh);
      for (const int threads : {1, 2, 3})
        for (const int64_t count : {1, 2, 5, 6, 7, 31, 96, 100, 210})
          for (const int64_t first : {0, 1}) {
            omp_set_num_threads(threads);
            const std::vector<float> part(x.begin() + first * depth, x.begin() + (first + count) * depth);
            const std::vector<float> expected(whole.begin() + first * columns, whole.begin() + (first + count) * columns);
            EXPECT_EQ(run_linear(*device, part, weight, b, count, Activation::gelu_tanh), expected)
                << device->name() << ' ' << threads << " threads, rows " << first << " + " << count;
          }
      omp_set_num_threads(omp_get_num_procs());
    }
}

TEST(Linear, GivesTheSameBitsOnEveryDeviceWithFusedMultiplyAdd) {
  const int64_t rows = 50, depth = 700, columns = 90;
  const auto x = random_values(rows * depth, 1), w = random_values(columns * depth, 2), b = random_values(columns, 3);
  std::vector<std::vector<float>> results;
  for (const auto& device : test_devices())
    if (device->name() != "cpu-portable")
      results.push_back(run_linear(*device, x, device->pack_exactly(DeviceArray(*device, {columns, depth}, w).view), b, rows));
  if (results.size() < 2) GTEST_SKIP() << "this machine has not two of AVX2, AVX-512 and a GPU";
  for (const auto& result : results) EXPECT_EQ(result, results.front());
}

TEST(Linear, GivesTheSameActivationsOnEveryInstructionSetWithFusedMultiplyAdd) {
  const auto devices = test_devices();
  if (devices.size() < 3 || !devices[2]->name().starts_with("cpu")) GTEST_SKIP() << "this processor has not both AVX2 and AVX-512";
  const int64_t rows = 50, depth = 700, columns = 90;
  const auto x = random_values(rows * depth, 1), w = random_values(columns * depth, 2), b = random_values(columns, 3);
  const auto on = [&](Backend& device) {
    return run_linear(device, x, device.pack_exactly(DeviceArray(device, {columns, depth}, w).view), b, rows, Activation::silu);
  };
  EXPECT_EQ(on(*devices[1]), on(*devices[2]));
}

}  // namespace
}  // namespace pyracast
