// Norms and element-wise operations: against their definition, and row by row.
#include <gtest/gtest.h>
#include <omp.h>

#include "tests/kernels/devices.hpp"
#include "tests/kernels/shared_out.hpp"

namespace pyracast {
namespace {

TEST(LayerNorm, GivesEachRowMeanZeroAndVarianceOne) {
  for (const auto& device : test_devices())
    for (const int64_t n : {1, 7, 16, 96, 1153}) {
      const int64_t rows = 70;
      const auto x = random_values(rows * n, 1, 5);
      const DeviceArray in(*device, {rows, n}, x);
      DeviceArray out(*device, {rows, n});
      device->layer_norm(in.view, 1e-6f, nullptr, nullptr, out.view);
      std::vector<double> expected;
      for (int64_t r = 0; r < rows; ++r) {
        double mean = 0, variance = 0;
        for (int64_t i = 0; i < n; ++i) mean += x[size_t(r * n + i)] / double(n);
        for (int64_t i = 0; i < n; ++i) variance += std::pow(x[size_t(r * n + i)] - mean, 2) / double(n);
        for (int64_t i = 0; i < n; ++i) expected.push_back((x[size_t(r * n + i)] - mean) / std::sqrt(variance + 1e-6));
      }
      EXPECT_LT(largest_difference(out.values(), expected), 1e-4) << device->name() << ' ' << n;
    }
}

TEST(RmsNorm, DividesByTheRootMeanSquare) {
  for (const auto& device : test_devices()) {
    const int64_t rows = 130, n = 72;
    const auto x = random_values(rows * n, 1), w = random_values(n, 2);
    const DeviceArray in(*device, {rows, n}, x), weight(*device, {n}, w);
    DeviceArray out(*device, {rows, n});
    device->rms_norm(in.view, 1e-6f, weight.view, out.view);
    std::vector<double> expected;
    for (int64_t r = 0; r < rows; ++r) {
      double square = 0;
      for (int64_t i = 0; i < n; ++i) square += std::pow(double(x[size_t(r * n + i)]), 2) / double(n);
      for (int64_t i = 0; i < n; ++i) expected.push_back(x[size_t(r * n + i)] / std::sqrt(square + 1e-6) * w[size_t(i)]);
    }
    EXPECT_LT(largest_difference(out.values(), expected), 1e-5) << device->name();
  }
}

TEST(GroupNorm, NormalisesAGroupOfChannelsOverAllPositionsOfAnEntry) {
  const SharedOut everything;
  for (const auto& device : test_devices())
    for (const auto& [positions, channels] : {std::pair<int64_t, int64_t>{1, 12}, {300, 12}, {1000, 12}, {300, 600}, {40, 1100}, {7, 9}}) {
      const int64_t batch = 2, groups = channels % 4 == 0 ? 4 : 3, width = channels / groups;
      const auto x = random_values(batch * positions * channels, 1, 3), w = random_values(channels, 2), b = random_values(channels, 3);
      const DeviceArray in(*device, {batch, positions, channels}, x), weight(*device, {channels}, w), bias(*device, {channels}, b);
      DeviceArray out(*device, {batch, positions, channels});
      device->group_norm(in.view, groups, 1e-5f, weight.view, bias.view, Activation::none, out.view);
      std::vector<double> expected(x.size());
      for (int64_t e = 0; e < batch; ++e)
        for (int64_t g = 0; g < groups; ++g) {
          double mean = 0, square = 0;
          const auto each = [&](auto f) {
            for (int64_t p = 0; p < positions; ++p)
              for (int64_t c = g * width; c < (g + 1) * width; ++c) f(size_t((e * positions + p) * channels + c), size_t(c));
          };
          each([&](size_t i, size_t) { mean += x[i] / double(positions * width); });
          each([&](size_t i, size_t) { square += std::pow(x[i] - mean, 2) / double(positions * width); });
          each([&](size_t i, size_t c) { expected[i] = (x[i] - mean) / std::sqrt(square + 1e-5) * w[c] + b[c]; });
        }
      EXPECT_LT(largest_difference(out.values(), expected), 2e-5) << device->name() << ' ' << positions << ' ' << channels;

      omp_set_num_threads(3);
      DeviceArray again(*device, {1, positions, channels});
      const DeviceArray second(*device, {1, positions, channels}, {x.begin() + positions * channels, x.end()});
      device->group_norm(second.view, groups, 1e-5f, weight.view, bias.view, Activation::none, again.view);
      const auto whole = out.values();
      EXPECT_EQ(again.values(), std::vector<float>(whole.begin() + positions * channels, whole.end()));
      omp_set_num_threads(omp_get_num_procs());
    }
}

TEST(Activations, EqualTheirFormulas) {
  std::vector<float> x = random_values(1000, 1, 4);
  for (const float value : {0.f, -0.f, 30.f, -30.f, 100.f, -100.f, 1e-6f, -90.f}) x.push_back(value);
  const auto sigmoid = [](double v) { return 1 / (1 + std::exp(-v)); };
  for (const auto& device : test_devices()) {
    const DeviceArray in(*device, {int64_t(x.size())}, x);
    const auto check = [&](Activation activation, auto formula) {
      DeviceArray out(*device, {int64_t(x.size())});
      device->activate(in.view, activation, out.view);
      std::vector<double> expected;
      for (const float value : x) expected.push_back(formula(double(value)));
      EXPECT_LT(largest_difference(out.values(), expected), 1e-5) << device->name() << ' ' << int(activation);
    };
    check(Activation::relu, [](double v) { return std::max(v, 0.0); });
    check(Activation::silu, [&](double v) { return v * sigmoid(v); });
    check(Activation::gelu_tanh, [](double v) {
      return 0.5 * v * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    });
  }
}

TEST(Modulate, ShiftsAndScalesEachGroupOfRowsByItsOwnFactors) {
  for (const auto& device : test_devices()) {
    const int64_t groups = 3, rows = 5, channels = 20;
    const auto x = random_values(groups * rows * channels, 1), shift = random_values(groups * channels, 2),
               scale = random_values(groups * channels, 3);
    const DeviceArray in(*device, {groups, rows, channels}, x), a(*device, {groups, channels}, shift), m(*device, {groups, channels}, scale);
    DeviceArray modulated(*device, {groups, rows, channels}), gated(*device, {groups, rows, channels});
    device->modulate(in.view, a.view, m.view, modulated.view);
    device->gate(in.view, m.view, gated.view);
    std::vector<double> expected, expected_gated;
    for (size_t i = 0; i < x.size(); ++i) {
      const size_t f = i / size_t(rows * channels) * size_t(channels) + i % size_t(channels);
      expected.push_back(x[i] * (1.0 + scale[f]) + shift[f]);
      expected_gated.push_back(double(x[i]) * scale[f]);
    }
    EXPECT_LT(largest_difference(modulated.values(), expected), 1e-5);
    EXPECT_LT(largest_difference(gated.values(), expected_gated), 1e-6);
  }
}

TEST(Rotate, TurnsAdjacentPairsByTheAngleOfTheirToken) {
  for (const auto& device : test_devices()) {
    const int64_t batch = 2, tokens = 5, heads = 2, size = 6;
    const auto x = random_values(batch * tokens * heads * size, 1);
    std::vector<float> cosines, sines;
    for (int64_t i = 0; i < tokens * size / 2; ++i) {
      cosines.push_back(float(std::cos(0.3 * double(i))));
      sines.push_back(float(std::sin(0.3 * double(i))));
    }
    const DeviceArray in(*device, {batch, tokens, heads, size}, x), c(*device, {tokens, size / 2}, cosines), s(*device, {tokens, size / 2}, sines);
    DeviceArray out(*device, {batch, tokens, heads, size});
    device->rotate(in.view, c.view, s.view, out.view);
    std::vector<double> expected;
    for (size_t i = 0; i < x.size(); i += 2) {
      const size_t token = i / size_t(heads * size) % size_t(tokens), angle = token * size_t(size / 2) + i % size_t(size) / 2;
      expected.push_back(double(x[i]) * cosines[angle] - double(x[i + 1]) * sines[angle]);
      expected.push_back(double(x[i + 1]) * cosines[angle] + double(x[i]) * sines[angle]);
    }
    EXPECT_LT(largest_difference(out.values(), expected), 1e-5);
  }
}

TEST(GatherRows, PicksRowsOfEitherType) {
  const int64_t rows = 40, columns = 300;
  const auto table = random_values(rows * columns, 1);
  const std::vector<bfloat16> narrow(table.begin(), table.end());
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < 500; ++i) indices.push_back(i * 7 % rows);   // more than one launch of a GPU takes
  std::vector<float> expected, expected_narrow;
  for (const int64_t index : indices)
    for (int64_t c = 0; c < columns; ++c) {
      expected.push_back(table[size_t(index * columns + c)]);
      expected_narrow.push_back(float(narrow[size_t(index * columns + c)]));
    }
  for (const auto& device : test_devices()) {
    const DeviceArray wide(*device, {rows, columns}, table);
    DeviceArray out(*device, {500, columns});
    device->gather_rows(wide.view, indices, out.view);
    EXPECT_EQ(out.values(), expected) << device->name();
    const DeviceArray stored(*device, {rows, columns}, table, DType::bfloat16);
    const DeviceArray narrow_out(*device, {500, columns}, DType::bfloat16);
    device->gather_rows(stored.view, indices, narrow_out.view);
    EXPECT_EQ(narrow_out.values(), expected_narrow) << device->name();
  }
}

TEST(LayerNorm, AppliesWeightAndBias) {
  const int64_t rows = 9, n = 100;
  const auto x = random_values(rows * n, 1), w = random_values(n, 2), b = random_values(n, 3);
  for (const auto& device : test_devices()) {
    const DeviceArray in(*device, {rows, n}, x), weight(*device, {n}, w), bias(*device, {n}, b);
    DeviceArray plain(*device, {rows, n}), both(*device, {rows, n});
    device->layer_norm(in.view, 1e-5f, nullptr, nullptr, plain.view);
    device->layer_norm(in.view, 1e-5f, &weight.view, &bias.view, both.view);
    std::vector<double> expected;
    const auto normal = plain.values();
    for (size_t i = 0; i < normal.size(); ++i) expected.push_back(double(normal[i]) * w[i % size_t(n)] + b[i % size_t(n)]);
    EXPECT_LT(largest_difference(both.values(), expected), 1e-6) << device->name();
  }
}

TEST(Elementwise, AddsMultipliesAndCombines) {
  const auto a = random_values(1001, 1), b = random_values(1001, 2);
  for (const auto& device : test_devices()) {
    const DeviceArray x(*device, {1001}, a), y(*device, {1001}, b);
    DeviceArray out(*device, {1001});
    std::vector<double> sum, product, combined;
    for (size_t i = 0; i < a.size(); ++i) {
      sum.push_back(double(a[i]) + b[i]);
      product.push_back(double(a[i]) * b[i]);
      combined.push_back(0.25 * a[i] - 3.0 * b[i]);
    }
    device->add(x.view, y.view, out.view);
    EXPECT_LT(largest_difference(out.values(), sum), 1e-6) << device->name();
    device->multiply(x.view, y.view, out.view);
    EXPECT_LT(largest_difference(out.values(), product), 1e-6) << device->name();
    device->combine(0.25f, x.view, -3.f, y.view, out.view);
    EXPECT_LT(largest_difference(out.values(), combined), 2e-6) << device->name();
  }
}

}  // namespace
}  // namespace pyracast
