// Compiled once for each instruction set, with PYRACAST_SIMD naming the table. Sums run over a fixed number of lanes
// in a fixed order, so that avx2 and avx512 give the same bits; only the fused multiply-add tells portable apart.
#include "kernels/cpu/simd.hpp"

namespace pyracast::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int width = 16;
#elif defined(__AVX2__)
constexpr int width = 8;
#else
constexpr int width = 4;
#endif
typedef float Vector __attribute__((vector_size(width * 4), aligned(4), may_alias));
constexpr int lanes = 16;   // partial sums of a reduction, whatever the vector width

// Rows x (Vectors * width) of c stay in registers while k runs.
template <int Vectors>
inline void tile_part(int64_t depth, const float* a, const float* b, float* c, int64_t stride, bool accumulate) {
  Vector sum[tile_rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = accumulate ? *reinterpret_cast<const Vector*>(c + r * stride + v * width) : Vector{};
  for (int64_t k = 0; k < depth; ++k, a += tile_rows, b += panel_columns) {
    Vector columns[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) columns[v] = *reinterpret_cast<const Vector*>(b + v * width);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const Vector row = a[r] - Vector{};
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] += row * columns[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<Vector*>(c + r * stride + v * width) = sum[r][v];
}

void tile(int64_t depth, const float* a, const float* b, float* c, int64_t stride, bool accumulate) {
  constexpr int step = 2 * width;   // 6 rows x 2 vectors: 12 sums fit the 16 registers of SSE and AVX
  for (int n = 0; n < panel_columns; n += step) tile_part<2>(depth, a, b + n, c + n, stride, accumulate);
}

// exp by 2^n * p(r), r = x - n ln 2 (two-part constant), p of degree 7; relative error below 2e-7 for finite results.
inline float exponential(float x) {
  x = x < -87.f ? -87.f : (x > 88.f ? 88.f : x);
  const float n = float(int(x * 1.44269504088896341f + (x < 0 ? -0.5f : 0.5f)));
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.f / 5040;
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  union {
    int32_t bits;
    float value;
  } power{(int(n) + 127) << 23};
  return p * power.value;
}

// Below -87 the true value is under 2e-38: nothing beside a row's largest term, which is 1, and a masked key must not
// count at all.
inline float exponential_or_zero(float x) { return x < -87.f ? 0.f : exponential(x); }

void softmax(float* x, int64_t n) {
  float largest = x[0];
  for (int64_t i = 1; i < n; ++i) largest = x[i] > largest ? x[i] : largest;
  for (int64_t i = 0; i < n; ++i) x[i] = exponential_or_zero(x[i] - largest);
  float sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int l = 0; l < lanes; ++l) sums[l] += x[i + l];
  for (int l = 0; i < n; ++i, ++l) sums[l] += x[i];
  float total = 0;
  for (int l = 0; l < lanes; ++l) total += sums[l];
  const float scale = 1 / total;
  for (int64_t j = 0; j < n; ++j) x[j] *= scale;
}

void activate(Activation activation, const float* x, float* out, int64_t n) {
  switch (activation) {
    case Activation::none:
      if (x != out)
        for (int64_t i = 0; i < n; ++i) out[i] = x[i];
      return;
    case Activation::relu:
      for (int64_t i = 0; i < n; ++i) out[i] = x[i] > 0 ? x[i] : 0;
      return;
    case Activation::silu:
      for (int64_t i = 0; i < n; ++i) out[i] = x[i] / (1 + exponential(-x[i]));
      return;
    case Activation::gelu_tanh:   // x (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
      for (int64_t i = 0; i < n; ++i) {
        const float u = 0.7978845608028654f * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
        out[i] = x[i] / (1 + exponential(-2 * u));
      }
      return;
  }
}

template <class Term>
inline float sum_over(int64_t n, Term term) {
  float sums[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    for (int l = 0; l < lanes; ++l) sums[l] += term(i + l);
  for (int l = 0; i < n; ++i, ++l) sums[l] += term(i);
  float total = 0;
  for (int l = 0; l < lanes; ++l) total += sums[l];
  return total;
}

// Two passes over the row: the one-pass formula cancels badly.
void layer_norm(const float* x, float* out, int64_t n, float epsilon, const float* weight, const float* bias) {
  const float mean = sum_over(n, [&](int64_t i) { return x[i]; }) / float(n);
  const float variance = sum_over(n, [&](int64_t i) { return (x[i] - mean) * (x[i] - mean); }) / float(n);
  const float scale = 1 / __builtin_sqrtf(variance + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - mean) * scale;
  if (weight)
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] * weight[i];
  if (bias)
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] + bias[i];
}

void rms_norm(const float* x, float* out, int64_t n, float epsilon, const float* weight) {
  const float mean_square = sum_over(n, [&](int64_t i) { return x[i] * x[i]; }) / float(n);
  const float scale = 1 / __builtin_sqrtf(mean_square + epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] * scale * weight[i];
}

constexpr int chains = 12;   // independent sums: more than a multiply-add's latency times those begun a cycle

// The empty assembly makes every round's numbers known to the processor alone: nothing can be worked out beforehand.
float multiply_adds(int64_t rounds) {
  Vector sums[chains] = {}, one = 1.f - Vector{};
  asm volatile("" : "+x"(one));
  for (int64_t i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = sums[c] * one + one;
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) asm volatile("" : "+x"(sums[c]));
  }
  float total = 0;
  for (int c = 0; c < chains; ++c)
    for (int l = 0; l < width; ++l) total += sums[c][l];
  return total;
}

}  // namespace

#define PYRACAST_STRING_OF(x) #x
#define PYRACAST_STRING(x) PYRACAST_STRING_OF(x)
const Simd& PYRACAST_SIMD() {
  static constexpr Simd table{PYRACAST_STRING(PYRACAST_SIMD) + 5, tile, softmax, activate, layer_norm, rms_norm,
                              multiply_adds, chains * width};
  return table;
}

}  // namespace pyracast::cpu
