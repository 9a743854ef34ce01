#include <gtest/gtest.h>
#include <omp.h>

#include "tests/kernels/devices.hpp"
#include "tests/kernels/shared_out.hpp"

namespace pyracast {
namespace {

constexpr int64_t batch = 2, heads = 3, size = 24;

/// Attention of one query row by definition, in double.
void attend(const float* q, const float* k, const float* v, int64_t keys, float scale, const std::vector<float>& bias,
            double* out) {
  std::vector<double> weights;
  double largest = -INFINITY, total = 0;
  for (int64_t j = 0; j < keys; ++j) {
    double score = bias.empty() ? 0 : bias[size_t(j)];
    for (int64_t d = 0; d < size; ++d) score += scale * double(q[d]) * k[j * heads * size + d];
    weights.push_back(score);
    largest = std::max(largest, score);
  }
  for (double& weight : weights) total += weight = std::exp(weight - largest);
  for (int64_t d = 0; d < size; ++d) {
    out[d] = 0;
    for (int64_t j = 0; j < keys; ++j) out[d] += weights[size_t(j)] / total * v[j * heads * size + d];
  }
}

std::vector<float> run(Backend& backend, int64_t n, int64_t queries, int64_t keys, const std::vector<float>& q,
                       const std::vector<float>& k, const std::vector<float>& v, const std::vector<KeyRange>& ranges = {},
                       const std::vector<float>& bias = {}) {
  const DeviceArray in(backend, {n, queries, heads, size}, q);
  const Shape key_shape = ranges.empty() ? Shape{n, keys, heads, size} : Shape{1, keys, heads, size};
  const DeviceArray ks(backend, key_shape, k), vs(backend, key_shape, v);
  DeviceArray out(backend, {n, queries, heads, size});
  if (bias.empty()) {
    backend.attention(in.view, ks.view, vs.view, 0.2f, nullptr, ranges, out.view);
  } else {
    const DeviceArray added(backend, {1, 1, 1, keys}, bias);
    const AttentionBias shared{added.view, 0, 0, 0};
    backend.attention(in.view, ks.view, vs.view, 0.2f, &shared, ranges, out.view);
  }
  return out.values();
}

TEST(Attention, EqualsItsDefinition) {
  for (const auto& device : test_devices())
    for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{1, 1}, {5, 5}, {100, 33}, {7, 300}}) {
      const auto q = random_values(batch * queries * heads * size, 1), k = random_values(batch * keys * heads * size, 2),
                 v = random_values(batch * keys * heads * size, 3), bias = random_values(keys, 4);
      std::vector<double> expected(q.size());
      for (int64_t row = 0; row < batch * queries; ++row)
        for (int64_t h = 0; h < heads; ++h) {
          const int64_t at = (row * heads + h) * size, first = (row / queries * keys * heads + h) * size;
          attend(q.data() + at, k.data() + first, v.data() + first, keys, 0.2f, bias, expected.data() + at);
        }
      EXPECT_LT(largest_difference(run(*device, batch, queries, keys, q, k, v, {}, bias), expected), 1e-5) << device->name();
    }
}

TEST(Attention, WithKeyRangesLetsEachEntrySeeItsOwnKeysOnly) {
  for (const auto& device : test_devices()) {
    const int64_t queries = 9;
    const std::vector<KeyRange> ranges{{4, 21}, {0, 7}};   // they may overlap
    const auto q = random_values(batch * queries * heads * size, 1), k = random_values(21 * heads * size, 2),
               v = random_values(21 * heads * size, 3);
    const auto both = run(*device, batch, queries, 21, q, k, v, ranges);
    std::vector<float> separate;
    for (int64_t b = 0; b < batch; ++b) {
      const auto part = [&](const std::vector<float>& x, int64_t begin, int64_t end) {
        return std::vector<float>(x.begin() + begin * heads * size, x.begin() + end * heads * size);
      };
      const auto [first, last] = ranges[size_t(b)];
      for (const float value : run(*device, 1, queries, last - first, part(q, b * queries, (b + 1) * queries),
                                   part(k, first, last), part(v, first, last)))
        separate.push_back(value);
    }
    EXPECT_EQ(both, separate) << device->name();
  }
}

TEST(Attention, GivesAQueryTheSameBitsWhateverItsNeighboursAndThreads) {
  const SharedOut everything;
  for (const auto& device : test_devices()) {
    const int64_t queries = 131, keys = 77, row = heads * size;
    const auto q = random_values(queries * row, 1), k = random_values(keys * row, 2), v = random_values(keys * row, 3);
    omp_set_num_threads(1);
    const auto whole = run(*device, 1, queries, keys, q, k, v);
    omp_set_num_threads(2);
    for (const int64_t first : {0, 1, 60, 130}) {
      const std::vector<float> part(q.begin() + first * row, q.end());
      EXPECT_EQ(run(*device, 1, queries - first, keys, part, k, v), std::vector<float>(whole.begin() + first * row, whole.end()));
    }
    omp_set_num_threads(omp_get_num_procs());
  }
}

TEST(Attention, IgnoresKeysWithTheLowestBias) {
  for (const auto& device : test_devices()) {
    const int64_t queries = 4, keys = 10, kept = 6, row = heads * size;
    const auto q = random_values(queries * row, 1), k = random_values(keys * row, 2), v = random_values(keys * row, 3);
    std::vector<float> bias(size_t(keys), 0);
    std::fill(bias.begin() + kept, bias.end(), std::numeric_limits<float>::lowest());
    EXPECT_EQ(run(*device, 1, queries, keys, q, k, v, {}, bias),
              run(*device, 1, queries, kept, q, {k.begin(), k.begin() + kept * row}, {v.begin(), v.begin() + kept * row}, {},
                  std::vector<float>(size_t(kept), 0)));
  }
}

}  // namespace
}  // namespace pyracast
