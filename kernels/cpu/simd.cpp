// Compiled once for each instruction set, with PYRACAST_SIMD naming the table. Sums run over a fixed number of lanes
// in a fixed order, so that avx2 and avx512 give the same bits; only the fused multiply-add tells portable apart.
#include "kernels/cpu/simd.hpp"

#if defined(__SSE2__)
#include <immintrin.h>   // all of its functions are always inline
#endif

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

// tile_rows x (Vectors * width) of c stay in registers while k runs.
template <int Vectors>
inline void tile_part(int64_t depth, const float* a, const float* b, float* c, int64_t stride, bool accumulate) {
  Vector sum[tile_rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = accumulate ? *reinterpret_cast<const Vector*>(c + r * stride + v * width) : Vector{};
#pragma GCC unroll 2
  for (int64_t k = 0; k < depth; ++k, ++a, b += panel_columns) {
    Vector columns[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) columns[v] = *reinterpret_cast<const Vector*>(b + v * width);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const Vector row = a[r * left_stride] - Vector{};
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] += row * columns[v];
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) *reinterpret_cast<Vector*>(c + r * stride + v * width) = sum[r][v];
}

void tile(int64_t depth, const float* a, const float* b, int64_t columns, float* c, int64_t stride, bool accumulate) {
  constexpr int step = 2 * width;   // 6 rows x 2 vectors: 12 sums fit the 16 registers of SSE and AVX
  for (int64_t n = 0; n < columns; n += step) {
    if (columns - n > width) tile_part<2>(depth, a, b + n, c + n, stride, accumulate);
    else tile_part<1>(depth, a, b + n, c + n, stride, accumulate);
  }
}

typedef int Integers __attribute__((vector_size(width * 4), aligned(4), may_alias));

/// sum + a[2i] * b[2i] + a[2i + 1] * b[2i + 1] in each 32-bit lane i, a and b lanes of 16 bits.
inline Integers add_products_of_pairs(Integers sum, Integers a, Integers b) {
#if defined(__AVX512VNNI__)
  return reinterpret_cast<Integers>(_mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX512BW__)
  return sum + reinterpret_cast<Integers>(_mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return sum + reinterpret_cast<Integers>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  return sum + reinterpret_cast<Integers>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
  return sum + (a << 16 >> 16) * (b << 16 >> 16) + (a >> 16) * (b >> 16);
#endif
}

template <int Vectors>
inline void tile_of_integers_part(int64_t pairs, const int16_t* a, const float* a_steps, const int16_t* b, const float* b_steps, float* c,
                                  int64_t stride, bool accumulate) {
  Integers sum[tile_rows][Vectors] = {};
#pragma GCC unroll 2
  for (int64_t k = 0; k < pairs; ++k, a += 2, b += 2 * panel_columns) {
    Integers columns[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) columns[v] = *reinterpret_cast<const Integers*>(b + 2 * v * width);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const Integers row = *reinterpret_cast<const int __attribute__((may_alias))*>(a + r * integer_stride) - Integers{};
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = add_products_of_pairs(sum[r][v], row, columns[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Vector& out = *reinterpret_cast<Vector*>(c + r * stride + v * width);
      Vector product = a_steps[r] * *reinterpret_cast<const Vector*>(b_steps + v * width) * __builtin_convertvector(sum[r][v], Vector);
      asm("" : "+x"(product));   // rounded: the compiler would join some of these with the sum and others not
      out = accumulate ? out + product : product;
    }
}

void tile_of_integers(int64_t pairs, const int16_t* a, const float* a_steps, const int16_t* b, const float* b_steps, int64_t columns, float* c,
                      int64_t stride, bool accumulate) {
  constexpr int step = 2 * width;
  for (int64_t n = 0; n < columns; n += step) {
    if (columns - n > width) tile_of_integers_part<2>(pairs, a, a_steps, b + 2 * n, b_steps + n, c + n, stride, accumulate);
    else tile_of_integers_part<1>(pairs, a, a_steps, b + 2 * n, b_steps + n, c + n, stride, accumulate);
  }
}

// exp by 2^n * p(r), r = x - n ln 2 (two-part constant), p of degree 7; relative error below 2e-7 for finite results.
inline Vector exponential(Vector x) {
  x = x < -87.f ? Vector{} - 87.f : x;
  x = x > 88.f ? Vector{} + 88.f : x;
  const Vector half = x < 0.f ? Vector{} - 0.5f : Vector{} + 0.5f;
  const Integers whole = __builtin_convertvector(x * 1.44269504088896341f + half, Integers);
  const Vector n = __builtin_convertvector(whole, Vector);
  const Vector r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector p = Vector{} + 1.f / 5040;
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  return p * reinterpret_cast<Vector>((whole + 127) << 23);
}

// Below -87 the true value is under 2e-38: nothing beside a row's largest term, which is 1, and a masked key must not
// count at all.
inline Vector exponential_or_zero(Vector x) { return x < -87.f ? Vector{} : exponential(x); }

/// out[i] = f(x[i]), a vector at a time.
template <class F>
inline void map(const float* x, float* out, int64_t n, F f) {
  int64_t i = 0;
  for (; i + width <= n; i += width) *reinterpret_cast<Vector*>(out + i) = f(*reinterpret_cast<const Vector*>(x + i));
  if (i == n) return;
  Vector rest{};
  for (int64_t l = 0; i + l < n; ++l) rest[l] = x[i + l];
  rest = f(rest);
  for (int64_t l = 0; i + l < n; ++l) out[i + l] = rest[l];
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

float integers(const float* x, int64_t n, int16_t* out) {
  typedef int16_t Short __attribute__((vector_size(width * 2), aligned(2), may_alias));
  const float square = sum_over(n, [&](int64_t i) { return x[i] * x[i]; });
  Vector sizes{};
  int64_t done = 0;
  for (; done + width <= n; done += width) {
    const auto size = reinterpret_cast<Vector>(*reinterpret_cast<const Integers*>(x + done) & 0x7fffffff);
    sizes = size > sizes ? size : sizes;
  }
  float largest = 0;
  for (; done < n; ++done) largest = __builtin_fabsf(x[done]) > largest ? __builtin_fabsf(x[done]) : largest;
  for (int l = 0; l < width; ++l) largest = sizes[l] > largest ? sizes[l] : largest;
  const bool none = square < 1e-30f;   // false where it is no number
  const float by_norm = __builtin_sqrtf(square) / 46000.f, by_largest = largest / 32700.f, step = by_norm > by_largest ? by_norm : by_largest;
  const float scale = none ? 0.f : 1.f / step;
  // Adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits.
  constexpr float whole = 12582912.f;
  int64_t i = 0;
  for (; i + width <= n; i += width) {
    const Vector shifted = *reinterpret_cast<const Vector*>(x + i) * scale + whole;
    *reinterpret_cast<Short*>(out + i) = __builtin_convertvector(reinterpret_cast<Integers>(shifted), Short);
  }
  for (; i < n; ++i) {
    const float shifted = x[i] * scale + whole;
    int bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    out[i] = int16_t(bits);
  }
  if (n % 2) out[n] = 0;
  return none ? 0.f : (square - square == 0 ? step : square);
}

// Scaled, biased and shifted values are each rounded: the loops must not be joined into multiply-adds.
void softmax(float* x, int64_t n, float scale, const float* bias) {
  const int64_t whole = (n + lanes - 1) / lanes * lanes;
  for (int64_t i = 0; i < n; ++i) x[i] *= scale;
  if (bias)
    for (int64_t i = 0; i < n; ++i) x[i] += bias[i];
  for (int64_t i = n; i < whole; ++i) x[i] = -__builtin_inff();   // counts for nothing
  Vector highest = *reinterpret_cast<const Vector*>(x);
  for (int64_t i = width; i < whole; i += width) {
    const Vector v = *reinterpret_cast<const Vector*>(x + i);
    highest = v > highest ? v : highest;
  }
  float largest = highest[0];
  for (int l = 1; l < width; ++l) largest = highest[l] > largest ? highest[l] : largest;
  map(x, x, whole, [&](Vector v) { return exponential_or_zero(v - largest); });
  const float share = 1 / sum_over(whole, [&](int64_t i) { return x[i]; });
  map(x, x, whole, [&](Vector v) { return v * share; });
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
      return map(x, out, n, [](Vector v) { return v / (1.f + exponential(-v)); });
    case Activation::gelu_tanh:   // x (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
      return map(x, out, n, [](Vector v) {
        const Vector u = 0.7978845608028654f * (v + 0.044715f * v * v * v);
        return v / (1.f + exponential(-2.f * u));
      });
  }
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

void add_moments(const float* x, int64_t n, double* sum, double* square) {
  for (int64_t i = 0; i < n; ++i) {
    sum[i] += x[i];
    square[i] += double(x[i]) * x[i];
  }
}

void widen(const bfloat16* x, int64_t n, float* out) {
  const auto* bits = reinterpret_cast<const uint16_t*>(x);
  auto* wide = reinterpret_cast<uint32_t __attribute__((may_alias))*>(out);
  for (int64_t i = 0; i < n; ++i) wide[i] = uint32_t(bits[i]) << 16;
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
  Vector all{};
#pragma GCC unroll 12
  for (int c = 0; c < chains; ++c) all += sums[c];
  float total = 0;
  for (int l = 0; l < width; ++l) total += all[l];
  return total;
}

}  // namespace

#define PYRACAST_STRING_OF(x) #x
#define PYRACAST_STRING(x) PYRACAST_STRING_OF(x)
const Simd& PYRACAST_SIMD() {
  static constexpr Simd table{PYRACAST_STRING(PYRACAST_SIMD) + 5, tile, integers, tile_of_integers, softmax, activate, layer_norm, rms_norm,
                              add_moments, widen, multiply_adds, chains * width};
  return table;
}

}  // namespace pyracast::cpu
