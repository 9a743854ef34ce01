// Attention on a GPU's tensor cores against its definition in double, of the same factors in bfloat16.
#include "kernels/cuda/attention.cuh"

#include <gtest/gtest.h>

#include "kernels/cuda/cuda_backend.hpp"
#include "tests/kernels/devices.hpp"

namespace pyracast {
namespace {

using cuda::AttentionEntries, cuda::NarrowAttentionCall;

/// q, k and v [tokens, row of elements], of which a head's part begins at head * size; the keys of each entry in a row.
struct Problem {
  int64_t batch, queries, heads, size;
  std::vector<KeyRange> keys_of;            // one an entry
  std::vector<bfloat16> q, k, v;
  int64_t q_row, k_row, v_row;
  float scale = 0.2f;
  std::vector<float> bias = {};             // [bias batch, bias heads, bias queries, most keys]
  int64_t bias_batch = 0, bias_head = 0, bias_query = 0;
};

std::vector<bfloat16> narrow(const std::vector<float>& values) {
  std::vector<bfloat16> out;
  for (const float value : values) out.push_back(bfloat16(value));
  return out;
}

std::vector<bfloat16> random_narrow(int64_t count, unsigned seed, float spread = 1) { return narrow(random_values(count, seed, spread)); }

/// Each entry has the same number of keys.
Problem dense(int64_t batch, int64_t queries, int64_t keys, int64_t heads, int64_t size, float spread = 1) {
  const int64_t row = heads * size;
  Problem p{batch, queries, heads, size, {}, random_narrow(batch * queries * row, 1, spread), random_narrow(batch * keys * row, 2, spread),
            random_narrow(batch * keys * row, 3), row, row, row};
  for (int64_t b = 0; b < batch; ++b) p.keys_of.push_back({b * keys, (b + 1) * keys});
  return p;
}

int64_t q_at(const Problem& p, int64_t b, int64_t query, int64_t head) { return (b * p.queries + query) * p.q_row + head * p.size; }
int64_t out_at(const Problem& p, int64_t b, int64_t query, int64_t head) { return ((b * p.queries + query) * p.heads + head) * p.size; }

/// In double: the result, and of each element the weighted mean of its values' magnitudes, which its error is measured by.
struct Definition {
  std::vector<double> result, magnitude;

  explicit Definition(const Problem& p) : result(size_t(p.batch * p.queries * p.heads * p.size)), magnitude(result.size()) {
    for (int64_t b = 0; b < p.batch; ++b)
      for (int64_t query = 0; query < p.queries; ++query)
        for (int64_t h = 0; h < p.heads; ++h) row(p, b, query, h);
  }

 private:
  void row(const Problem& p, int64_t b, int64_t query, int64_t h) {
    const auto [first, last] = p.keys_of[size_t(b)];
    std::vector<double> weights;
    double largest = -INFINITY, total = 0;
    for (int64_t key = first; key < last; ++key) {
      double score = 0;
      for (int64_t d = 0; d < p.size; ++d)
        score += double(float(p.q[size_t(q_at(p, b, query, h) + d)])) * float(p.k[size_t(key * p.k_row + h * p.size + d)]);
      score *= p.scale;
      if (!p.bias.empty()) score += p.bias[size_t(b * p.bias_batch + h * p.bias_head + query * p.bias_query + key - first)];
      weights.push_back(score);
      largest = std::max(largest, score);
    }
    for (double& weight : weights) total += weight = std::exp(weight - largest);
    for (int64_t d = 0; d < p.size; ++d)
      for (int64_t key = first; key < last; ++key) {
        const double part = weights[size_t(key - first)] / total * float(p.v[size_t(key * p.v_row + h * p.size + d)]);
        result[size_t(out_at(p, b, query, h) + d)] += part;
        magnitude[size_t(out_at(p, b, query, h) + d)] += std::abs(part);
      }
  }
};

/// The largest error relative to what it is measured by: weights and the result are rounded to 8 bits, each by at most 2^-8.
constexpr double bound = 0x1.01p-7;
/// The error's norm relative to the result's: most roundings are smaller.
constexpr double norm_bound = 3e-3;

class TensorCoreAttention : public testing::Test {
 protected:
  void SetUp() override {
    if (!gpu_.backend) GTEST_SKIP() << gpu_.absence;
  }

  template <class T>
  std::shared_ptr<void> on_device(const std::vector<T>& values) {
    const auto memory = device().allocate(values.size() * sizeof(T));
    device().upload(values.data(), {memory.get(), sizeof(T) == 2 ? DType::bfloat16 : DType::float32, {int64_t(values.size())}});
    return memory;
  }

  /// `listed`: entries are told one by one even where all have the same number of keys.
  std::vector<float> run(const Problem& p, bool listed = true) {
    const auto q = on_device(p.q), k = on_device(p.k), v = on_device(p.v), bias = on_device(p.bias);
    return run(p, listed, static_cast<bfloat16*>(q.get()), static_cast<bfloat16*>(k.get()), static_cast<bfloat16*>(v.get()),
               p.bias.empty() ? nullptr : static_cast<float*>(bias.get()));
  }

  std::vector<float> run(const Problem& p, bool listed, const bfloat16* q, const bfloat16* k, const bfloat16* v, const float* bias) {
    const Shape shape{p.batch, p.queries, p.heads, p.size};
    const auto out = device().allocate(size_t(p.batch * p.queries * p.heads * p.size) * 2);
    const NarrowAttentionCall call{q, k, v, static_cast<bfloat16*>(out.get()), p.queries, p.heads, p.size, p.scale, bias,
                                   p.bias_batch, p.bias_head, p.bias_query, p.q_row, p.k_row, p.v_row};
    EXPECT_TRUE(cuda::tensor_core_attention_takes(call, 1));
    AttentionEntries entries{};
    entries.count = p.batch;
    for (int64_t b = 0; b < p.batch; ++b) {
      const auto [first, last] = p.keys_of[size_t(b)];
      if (listed) entries.listed[b] = {b, first, last - first};
      else entries.keys_each = last - first;
    }
    cuda::tensor_core_attention(device().stream(), call, entries);
    std::vector<bfloat16> result(size_t(p.batch * p.queries * p.heads * p.size));
    device().download({out.get(), DType::bfloat16, shape}, result.data());
    return {result.begin(), result.end()};
  }

  void expect_definition(const Problem& p, const std::string& what, bool listed = true) { expect_definition(p, Definition(p), what, listed); }
  void expect_definition(const Problem& p, const Definition& expected, const std::string& what, bool listed = true) {
    const auto found = run(p, listed);
    double largest = 0, squares = 0, of_result = 0;
    for (size_t i = 0; i < found.size(); ++i) {
      const double error = found[i] - expected.result[i];
      largest = std::isnan(error) ? INFINITY : std::max(largest, std::abs(error) / expected.magnitude[i]);
      squares += error * error;
      of_result += expected.result[i] * expected.result[i];
    }
    EXPECT_LT(largest, bound) << what;
    EXPECT_LT(std::sqrt(squares / of_result), norm_bound) << what;
  }

  CudaBackend& device() { return dynamic_cast<CudaBackend&>(*gpu_.backend); }

 private:
  const TestGpu gpu_{CudaPrecision::bfloat16};
};

TEST_F(TensorCoreAttention, EqualsItsDefinitionForEverySizeOfHeads) {
  for (const int64_t size : {8, 16, 24, 64, 72, 80, 88, 96, 128})
    for (const auto& [queries, keys] : {std::pair<int64_t, int64_t>{33, 65}, {70, 40}, {3, 130}})
      expect_definition(dense(2, queries, keys, 2, size), concat("heads of ", size, ", ", queries, " queries, ", keys, " keys"), false);
}

TEST_F(TensorCoreAttention, EqualsItsDefinitionForEveryNumberOfKeysAndQueries) {
  for (const int64_t keys : {1, 15, 16, 17, 63, 64, 65, 130, 300})
    for (const int64_t queries : {1, 16, 31, 64, 65, 129})
      expect_definition(dense(1, queries, keys, 1, 72), concat(queries, " queries, ", keys, " keys"));
}

TEST_F(TensorCoreAttention, AddsABiasOfEveryLayout) {
  for (const int64_t size : {24, 72, 96, 128})
    for (const int layout : {0, 1, 2}) {
      Problem p = dense(2, 67, 77, 2, size);
      const int64_t keys = 77;
      p.bias = random_values(layout == 2 ? 2 * 67 * keys : layout == 1 ? 2 * keys : keys, 4, 2);
      if (layout == 1) p.bias_batch = keys;
      if (layout == 2) p.bias_head = 67 * keys, p.bias_query = keys;
      expect_definition(p, concat("heads of ", size, ", layout ", layout));
    }
}

TEST_F(TensorCoreAttention, ReadsPackedQueriesKeysAndValuesInPlace) {
  const int64_t batch = 2, tokens = 50, heads = 3, size = 72, row = heads * size;
  const auto packed = random_narrow(batch * tokens * 3 * row, 5);   // [batch, tokens, 3, heads, size]
  Problem p{batch, tokens, heads, size, {{0, tokens}, {tokens, 2 * tokens}}, {}, {}, {}, row, row, row};
  for (int64_t token = 0; token < batch * tokens; ++token)
    for (int part = 0; part < 3; ++part) {
      auto& to = part == 0 ? p.q : part == 1 ? p.k : p.v;
      to.insert(to.end(), packed.begin() + (token * 3 + part) * row, packed.begin() + (token * 3 + part + 1) * row);
    }
  const auto expected = run(p);
  p.q_row = p.k_row = p.v_row = 3 * row;
  const auto memory = on_device(packed);
  const auto* const q = static_cast<const bfloat16*>(memory.get());
  EXPECT_EQ(run(p, false, q, q + row, q + 2 * row, nullptr), expected);
}

TEST_F(TensorCoreAttention, LetsEachEntrySeeItsOwnKeysOnly) {
  const int64_t queries = 9, heads = 2, size = 72, row = heads * size, all = 260;
  Problem p{6, queries, heads, size, {{4, 21}, {0, 7}, {10, 74}, {0, 260}, {30, 160}, {259, 260}}, random_narrow(6 * queries * row, 1),
            random_narrow(all * row, 2), random_narrow(all * row, 3), row, row, row};
  expect_definition(p, "listed");
}

TEST_F(TensorCoreAttention, GivesARowTheSameBitsWhateverIsComputedBesides) {
  for (const int64_t size : {72, 96, 128}) {
    const int64_t queries = 140, heads = 2, row = heads * size;
    for (const int64_t keys : {16, 50, 130}) {
      const Problem whole = dense(3, queries, keys, heads, size);
      const auto everything = run(whole, false);
      EXPECT_EQ(run(whole), everything);
      for (const auto& [first, count] : {std::pair<int64_t, int64_t>{0, 1}, {1, 139}, {17, 40}, {131, 9}}) {
        Problem part = whole;   // some queries of the second entry, beside an entry of other keys
        part.batch = 2;
        part.queries = count;
        part.keys_of = {{keys, 2 * keys}, {0, 3}};
        part.q.assign(whole.q.begin() + (queries + first) * row, whole.q.begin() + (queries + first + count) * row);
        part.q.insert(part.q.end(), size_t(count * row), bfloat16(1.f));
        auto found = run(part);
        found.resize(size_t(count * row));
        EXPECT_EQ(found, std::vector<float>(everything.begin() + (queries + first) * row, everything.begin() + (queries + first + count) * row))
            << size << ' ' << keys << ' ' << first;
      }
    }
  }
}

TEST_F(TensorCoreAttention, HoldsForLargeScores) {
  Problem p = dense(1, 20, 150, 1, 72, 100);
  expect_definition(p, "of both signs");
  for (bfloat16& value : p.q) value = bfloat16(1e4f);   // scores of one sign, all of which are large: the softmax is what k says
  for (bfloat16& value : p.k) value = bfloat16(-1e4f);
  expect_definition(p, "of one sign");
}

TEST_F(TensorCoreAttention, GivesKeysOfTheLowestBiasNoWeight) {
  for (const float lowest : {-INFINITY, std::numeric_limits<float>::lowest(), -1e30f})
    for (const int64_t kept : {5, 70, 130}) {
      Problem p = dense(1, 20, 150, 1, 72);
      p.bias.assign(150, lowest);
      std::fill(p.bias.end() - kept, p.bias.end(), 0.5f);   // whole tiles come first that weigh nothing
      Problem few = p;
      few.bias.clear();
      few.keys_of = {{150 - kept, 150}};
      expect_definition(p, Definition(few), concat(kept, " keys behind those of bias ", lowest));
    }
}

TEST_F(TensorCoreAttention, SaysWhatItTakes) {
  const auto takes = [](int64_t size, int64_t q_row, size_t offset, int64_t beside = 1) {
    const auto* const x = reinterpret_cast<const bfloat16*>(size_t(256) + offset);
    return cuda::tensor_core_attention_takes({x, x, x, nullptr, 1, 1, size, 1, nullptr, 0, 0, 0, q_row, size, size}, beside);
  };
  EXPECT_TRUE(takes(72, 72, 0));
  EXPECT_TRUE(takes(128, 3 * 128, 0));
  EXPECT_FALSE(takes(136, 136, 0));
  EXPECT_FALSE(takes(20, 20, 0));
  EXPECT_FALSE(takes(72, 76, 0));
  EXPECT_FALSE(takes(72, 72, 8));
  EXPECT_TRUE(takes(72, 3 * 1152, 0, 16384));   // a frame of 1024 x 1024 latents
  EXPECT_FALSE(takes(72, 3 * 1152, 0, 65536));
}

// Sequences along the second axis, whose tokens lie between those of others: the bits of sequences that lie one after the other.
TEST_F(TensorCoreAttention, ReadsSequencesBetweenEachOtherWhereTheyAre) {
  for (const auto& [length, beside] : {std::pair<int64_t, int64_t>{1, 5}, {15, 7}, {16, 1}, {40, 3}, {70, 2}, {130, 2}}) {
    const int64_t batch = 2, heads = 2, size = 72, width = heads * size, row = 3 * width;
    const std::vector<bfloat16> qkv = random_narrow(batch * length * beside * row, 1);
    const auto norm = on_device(std::vector<float>(size_t(size), 1.25f)), angles = on_device(random_values(length * size / 2, 2));
    const View of_norm{norm.get(), DType::float32, {size}}, of_angles{angles.get(), DType::float32, {length, size / 2}};
    const PackedAttention with{.q_norm = of_norm, .k_norm = of_norm, .cosines = of_angles, .sines = of_angles, .scale = 0.1f};
    const auto attended = [&](const std::vector<bfloat16>& values, int64_t batch, int64_t beside) {
      const auto x = on_device(values), out = device().allocate(values.size() / 3 * 2);
      const View result{out.get(), DType::bfloat16, {batch, length, beside, heads, size}};
      device().packed_attention({x.get(), DType::bfloat16, {batch, length, beside, 3, heads, size}}, with, result);
      std::vector<bfloat16> there(values.size() / 3);
      device().download(result, there.data());
      return there;
    };
    // Token t of sequence s, there and in a row.
    const auto in_a_row = [&](const std::vector<bfloat16>& values, int64_t width) {
      std::vector<bfloat16> out;
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t s = 0; s < beside; ++s)
          for (int64_t t = 0; t < length; ++t) {
            const auto token = values.begin() + ((b * length + t) * beside + s) * width;
            out.insert(out.end(), token, token + width);
          }
      return out;
    };
    const auto bits = [](const std::vector<bfloat16>& values) {
      std::vector<uint16_t> out;
      for (const bfloat16& value : values) out.push_back(value.bits);
      return out;
    };
    EXPECT_EQ(bits(in_a_row(attended(qkv, batch, beside), width)), bits(attended(in_a_row(qkv, row), batch * beside, 1))) << length << ' ' << beside;
  }
}

}  // namespace
}  // namespace pyracast
