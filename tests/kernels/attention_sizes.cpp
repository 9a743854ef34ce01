// Attention over heads of every size that the models have, more keys than a tile holds, and biases of every layout.
#include <gtest/gtest.h>

#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

struct Sizes {
  int64_t batch, queries, keys, heads, size;
};

/// By definition, in double; the bias is [bias batch, bias heads, bias queries, keys], sizes 1 or whole.
std::vector<double> by_definition(const Sizes& s, const std::vector<float>& q, const std::vector<float>& k,
                                  const std::vector<float>& v, const std::vector<float>& bias, const AttentionBias& at) {
  std::vector<double> out(q.size(), 0);
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t h = 0; h < s.heads; ++h)
      for (int64_t row = 0; row < s.queries; ++row) {
        const auto element = [&](int64_t token, int64_t tokens, int64_t d) { return size_t(((b * tokens + token) * s.heads + h) * s.size + d); };
        std::vector<double> weights;
        double largest = -INFINITY, total = 0;
        for (int64_t key = 0; key < s.keys; ++key) {
          double score = bias[size_t(b * at.batch_stride + h * at.head_stride + row * at.query_stride + key)];
          for (int64_t d = 0; d < s.size; ++d) score += 0.1 * double(q[element(row, s.queries, d)]) * k[element(key, s.keys, d)];
          weights.push_back(score);
          largest = std::max(largest, score);
        }
        for (double& weight : weights) total += weight = std::exp(weight - largest);
        for (int64_t key = 0; key < s.keys; ++key)
          for (int64_t d = 0; d < s.size; ++d)
            out[element(row, s.queries, d)] += weights[size_t(key)] / total * v[element(key, s.keys, d)];
      }
  return out;
}

TEST(Attention, HoldsForEverySizeOfHeadsAndEveryLayoutOfBias) {
  for (const Sizes& s : {Sizes{2, 3, 64, 2, 8}, {2, 70, 65, 2, 64}, {1, 65, 130, 3, 72}, {1, 9, 129, 2, 96}, {2, 66, 40, 1, 128},
                         {1, 20, 33, 1, 200}, {1, 17, 70, 1, 512}})
    for (const Shape& bias_shape : {Shape{1, 1, 1, s.keys}, {s.batch, 1, 1, s.keys}, {1, s.heads, s.queries, s.keys}}) {
      const auto q = random_values(s.batch * s.queries * s.heads * s.size, 1), k = random_values(s.batch * s.keys * s.heads * s.size, 2),
                 v = random_values(s.batch * s.keys * s.heads * s.size, 3),
                 bias = random_values(bias_shape[0] * bias_shape[1] * bias_shape[2] * s.keys, 4, 2);
      AttentionBias at;
      at.query_stride = bias_shape[2] > 1 ? s.keys : 0;
      at.head_stride = bias_shape[1] > 1 ? bias_shape[2] * s.keys : 0;
      at.batch_stride = bias_shape[0] > 1 ? bias_shape[1] * bias_shape[2] * s.keys : 0;
      const auto expected = by_definition(s, q, k, v, bias, at);
      for (const auto& device : test_devices()) {
        const Shape key_shape{s.batch, s.keys, s.heads, s.size}, query_shape{s.batch, s.queries, s.heads, s.size};
        const DeviceArray queries(*device, query_shape, q), keys(*device, key_shape, k), values(*device, key_shape, v),
            added(*device, bias_shape, bias);
        DeviceArray out(*device, query_shape);
        AttentionBias strided = at;
        strided.values = added.view;
        device->attention(queries.view, keys.view, values.view, 0.1f, &strided, {}, out.view);
        EXPECT_LT(largest_difference(out.values(), expected), 2e-5) << concat(device->name(), " heads of ", s.size, ", bias ", bias_shape);
      }
    }
}

TEST(Attention, OfManyEntriesWithKeyRangesOfEveryLengthIsThatOfEachAlone) {
  const int64_t entries = 170, queries = 2, heads = 2, size = 8, all = 200;   // more entries than one launch lists
  std::vector<KeyRange> ranges;
  for (int64_t b = 0; b < entries; ++b) ranges.push_back({b % 50, b % 50 + 1 + b % 130});
  const auto q = random_values(entries * queries * heads * size, 1), k = random_values(all * heads * size, 2),
             v = random_values(all * heads * size, 3);
  for (const auto& device : test_devices()) {
    const DeviceArray keys(*device, {1, all, heads, size}, k), values(*device, {1, all, heads, size}, v),
        qs(*device, {entries, queries, heads, size}, q);
    DeviceArray together(*device, {entries, queries, heads, size});
    device->attention(qs.view, keys.view, values.view, 0.3f, nullptr, ranges, together.view);
    const auto found = together.values();
    for (int64_t b = 0; b < entries; b += 7) {
      const auto first = b * queries * heads * size, last = first + queries * heads * size;
      const DeviceArray one(*device, {1, queries, heads, size}, {q.begin() + first, q.begin() + last});
      DeviceArray out(*device, {1, queries, heads, size});
      device->attention(one.view, keys.view, values.view, 0.3f, nullptr, std::span(&ranges[size_t(b)], 1), out.view);
      EXPECT_EQ(out.values(), std::vector<float>(found.begin() + first, found.begin() + last)) << device->name() << ' ' << b;
    }
  }
}

}  // namespace
}  // namespace pyracast
