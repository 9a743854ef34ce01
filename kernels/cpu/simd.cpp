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

inline Vector vector_at(const float* p) { return *reinterpret_cast<const Vector*>(p); }

/// v as a number of its own: the compiler joins a product with a sum that follows into one rounding unless it passes through here.
inline Vector rounded(Vector v) {
  asm("" : "+x"(v));
  return v;
}
inline float rounded(float v) {
  asm("" : "+x"(v));
  return v;
}

// tile_rows x (Vectors * width) of c stay in registers while k runs.
template <int Vectors>
inline void tile_part(int64_t depth, const float* a, const float* b, float* c, int64_t stride, bool accumulate) {
  Vector sum[tile_rows][Vectors];
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v)
      sum[r][v] = accumulate ? vector_at(c + r * stride + v * width) : Vector{};
#pragma GCC unroll 2
  for (int64_t k = 0; k < depth; ++k, ++a, b += panel_columns) {
    Vector columns[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) columns[v] = vector_at(b + v * width);
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
inline void quantized_tile_part(int64_t pairs, const int16_t* a, const float* a_scales, const int16_t* b, const float* b_scales, float* c,
                                int64_t stride, bool accumulate) {
  Integers sum[tile_rows][Vectors] = {};
#pragma GCC unroll 2
  for (int64_t k = 0; k < pairs; ++k, a += 2, b += 2 * panel_columns) {
    Integers columns[Vectors];
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) columns[v] = *reinterpret_cast<const Integers*>(b + 2 * v * width);
#pragma GCC unroll 8
    for (int r = 0; r < tile_rows; ++r) {
      const Integers row = *reinterpret_cast<const int __attribute__((may_alias))*>(a + r * quantized_stride) - Integers{};
#pragma GCC unroll 8
      for (int v = 0; v < Vectors; ++v) sum[r][v] = add_products_of_pairs(sum[r][v], row, columns[v]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < tile_rows; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < Vectors; ++v) {
      Vector& out = *reinterpret_cast<Vector*>(c + r * stride + v * width);
      // Rounded: the compiler would join some of these products with the sum and others not.
      const Vector product = rounded(a_scales[r] * vector_at(b_scales + v * width) * __builtin_convertvector(sum[r][v], Vector));
      out = accumulate ? out + product : product;
    }
}

void quantized_tile(int64_t pairs, const int16_t* a, const float* a_scales, const int16_t* b, const float* b_scales, int64_t columns, float* c,
                    int64_t stride, bool accumulate) {
  constexpr int step = 2 * width;
  for (int64_t n = 0; n < columns; n += step) {
    if (columns - n > width) quantized_tile_part<2>(pairs, a, a_scales, b + 2 * n, b_scales + n, c + n, stride, accumulate);
    else quantized_tile_part<1>(pairs, a, a_scales, b + 2 * n, b_scales + n, c + n, stride, accumulate);
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
  for (; i + width <= n; i += width) *reinterpret_cast<Vector*>(out + i) = f(vector_at(x + i));
  if (i == n) return;
  Vector rest{};
  for (int64_t l = 0; i + l < n; ++l) rest[l] = x[i + l];
  rest = f(rest);
  for (int64_t l = 0; i + l < n; ++l) out[i + l] = rest[l];
}

constexpr int parts = lanes / width;   // vectors that hold a row's partial sums

/// Of a row's values x, in vectors and those left over one by one: sum = add(sum, x), in lanes that are added up one after the other.
template <class Add>
inline float sum_over(const float* x, int64_t n, Add add) {
  Vector sums[parts] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p) sums[p] = add(sums[p], vector_at(x + i + p * width));
  float lane[lanes];
  __builtin_memcpy(lane, sums, sizeof lane);
  for (int l = 0; i < n; ++i, ++l) lane[l] = add(lane[l], x[i]);
  float total = 0;
#pragma GCC unroll 16
  for (int l = 0; l < lanes; ++l) total += lane[l];
  return total;
}

inline Integers lane_numbers() {
  Integers numbers;
#pragma GCC unroll 16
  for (int l = 0; l < width; ++l) numbers[l] = l;
  return numbers;
}

#if defined(__AVX512F__)
inline __mmask16 first_lanes(int64_t count) { return __mmask16(count <= 0 ? 0 : (1u << count) - 1); }
#endif

/// The first `count` of a vector's values, zeros behind.
inline Vector first_of(const float* x, int64_t count) {
  if (count >= width) return vector_at(x);
#if defined(__AVX512F__)
  return reinterpret_cast<Vector>(_mm512_maskz_loadu_ps(first_lanes(count), x));
#elif defined(__AVX2__)
  return reinterpret_cast<Vector>(_mm256_maskload_ps(x, reinterpret_cast<__m256i>(lane_numbers() < int32_t(count))));
#else
  Vector out{};
  for (int64_t l = 0; l < count; ++l) out[l] = x[l];
  return out;
#endif
}

/// Stores the first `count` of a vector's values; none where that is negative.
inline void store_first(Vector v, int64_t count, float* to) {
  if (count >= width) *reinterpret_cast<Vector*>(to) = v;
#if defined(__AVX512F__)
  else _mm512_mask_storeu_ps(to, first_lanes(count), reinterpret_cast<__m512>(v));
#else
  else
    for (int64_t l = 0; l < count; ++l) to[l] = v[l];
#endif
}

/// a * b + c, rounded once where the instruction set can: left to the compiler, some of several rows would be and some not.
inline Vector multiply_add(Vector a, Vector b, Vector c) {
#if defined(__AVX512F__)
  return reinterpret_cast<Vector>(_mm512_fmadd_ps(reinterpret_cast<__m512>(a), reinterpret_cast<__m512>(b), reinterpret_cast<__m512>(c)));
#elif defined(__FMA__)
  return reinterpret_cast<Vector>(_mm256_fmadd_ps(reinterpret_cast<__m256>(a), reinterpret_cast<__m256>(b), reinterpret_cast<__m256>(c)));
#else
  return rounded(a * b) + c;
#endif
}

/// The partial sums of each row added up, one lane after the other as sum_over does, the rows' chains of additions beside each other.
template <int Rows>
inline void add_lanes(const Vector (&sums)[Rows][parts], float (&totals)[Rows]) {
  float lane[Rows][lanes];
  __builtin_memcpy(lane, sums, sizeof lane);
  asm("" : "+m"(lane));   // from memory each lane costs a load, from registers a shuffle
  for (float& total : totals) total = 0;
#pragma GCC unroll 16
  for (int l = 0; l < lanes; ++l)
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) totals[r] += lane[r][l];
}

/// The sum of x^2 of each row.
template <int Rows>
inline void sums_of_squares(const float* x, int64_t stride, int64_t n, float (&totals)[Rows]) {
  Vector sums[Rows][parts] = {};
  const auto add = [&](int p, int64_t at, auto values) {
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const Vector v = values(x + r * stride + at);
      sums[r][p] = multiply_add(v, v, sums[r][p]);
    }
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p) add(p, i + p * width, vector_at);
#pragma GCC unroll 4
  for (int p = 0; p < parts; ++p)
    if (const int64_t at = i + p * width; at < n) add(p, at, [&](const float* from) { return first_of(from, n - at); });
  add_lanes<Rows>(sums, totals);
}

/// act<4>(row) on as many rows as there are fours of, act<2>(row) and act<1>(row) on the rest.
template <class Act>
inline void for_rows(int64_t rows, Act act) {
  int64_t row = 0;
  for (; row + 4 <= rows; row += 4) act.template operator()<4>(row);
  for (; row + 2 <= rows; row += 2) act.template operator()<2>(row);
  if (row < rows) act.template operator()<1>(row);
}

inline float largest_lane(Vector v) {
#pragma GCC unroll 4
  for (int half = width / 2; half > 0; half /= 2) {
    Integers other;
#pragma GCC unroll 16
    for (int l = 0; l < width; ++l) other[l] = l ^ half;
    const Vector turned = __builtin_shuffle(v, other);
    v = turned > v ? turned : v;
  }
  return v[0];
}

float quantize(const float* x, int64_t n, int16_t* out) {
  typedef int16_t Short __attribute__((vector_size(width * 2), aligned(2), may_alias));
  float squares[1];
  sums_of_squares<1>(x, 0, n, squares);
  const float square = squares[0];
  const bool counts = square >= 1e-30f && square - square == 0;
  if (!counts) {   // below: nothing; else no number, with which every product is none
    for (int64_t i = 0; i < n + n % 2; ++i) out[i] = 0;
    return square < 1e-30f ? 0.f : square - square;
  }
  Vector sizes{};
  int64_t done = 0;
  for (; done + width <= n; done += width) {
    const auto size = reinterpret_cast<Vector>(*reinterpret_cast<const Integers*>(x + done) & 0x7fffffff);
    sizes = size > sizes ? size : sizes;
  }
  float largest = largest_lane(sizes);
  for (; done < n; ++done) largest = __builtin_fabsf(x[done]) > largest ? __builtin_fabsf(x[done]) : largest;
  const float by_norm = __builtin_sqrtf(square) / 46000.f, by_largest = largest / 32700.f, scale = by_norm > by_largest ? by_norm : by_largest;
  const float inverse = 1.f / scale;
  // Adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits.
  constexpr float whole = 12582912.f;
  int64_t i = 0;
  for (; i + width <= n; i += width) {
    const Vector shifted = vector_at(x + i) * inverse + whole;
    *reinterpret_cast<Short*>(out + i) = __builtin_convertvector(reinterpret_cast<Integers>(shifted), Short);
  }
  for (; i < n; ++i) {
    const float shifted = x[i] * inverse + whole;
    int bits;
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    out[i] = int16_t(bits);
  }
  if (n % 2) out[n] = 0;
  return scale;
}

// Scaled, biased and shifted values are each rounded, never joined into multiply-adds.
template <int Rows>
inline void softmax_rows(float* x, int64_t stride, int64_t n, float scale, const float* bias, int64_t bias_stride) {
  const int64_t whole = (n + lanes - 1) / lanes * lanes;
  const auto at = [&](int r, int64_t i) -> Vector& { return *reinterpret_cast<Vector*>(x + r * stride + i); };
  Vector highest[Rows];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) highest[r] = Vector{} - __builtin_inff();
  for (int64_t i = 0; i < n; i += width)
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      Vector v = rounded(at(r, i) * scale);
      if (bias) v += first_of(bias + r * bias_stride + i, n - i);
      if (n - i < width) v = lane_numbers() < int32_t(n - i) ? v : Vector{} - __builtin_inff();   // counts for nothing
      at(r, i) = v;
      highest[r] = v > highest[r] ? v : highest[r];
    }
  for (int64_t i = (n + width - 1) / width * width; i < whole; i += width)
    for (int r = 0; r < Rows; ++r) at(r, i) = Vector{} - __builtin_inff();
  float largest[Rows], totals[Rows];
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) largest[r] = largest_lane(highest[r]);
  Vector sums[Rows][parts] = {};
  for (int64_t i = 0; i < whole; i += lanes)
#pragma GCC unroll 4
    for (int p = 0; p < parts; ++p)
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r) {
        const Vector v = rounded(exponential_or_zero(at(r, i + p * width) - largest[r]));
        at(r, i + p * width) = v;
        sums[r][p] += v;
      }
  add_lanes<Rows>(sums, totals);
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) totals[r] = 1 / totals[r];
  for (int64_t i = 0; i < whole; i += width)
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) at(r, i) *= totals[r];
}

void softmax(float* x, int64_t stride, int64_t rows, int64_t n, float scale, const float* bias, int64_t bias_stride) {
  for_rows(rows, [&]<int Rows>(int64_t row) {
    softmax_rows<Rows>(x + row * stride, stride, n, scale, bias ? bias + row * bias_stride : nullptr, bias_stride);
  });
}

/// act(f), f the function of a vector.
template <class Act>
inline void with_activation(Activation activation, Act act) {
  switch (activation) {
    case Activation::none: return act([](Vector v) { return v; });
    case Activation::relu: return act([](Vector v) { return v > 0 ? v : Vector{}; });
    case Activation::silu: return act([](Vector v) { return v / (1.f + exponential(-v)); });
    case Activation::gelu_tanh:   // x (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
      return act([](Vector v) {
        const Vector u = 0.7978845608028654f * (v + 0.044715f * v * v * v);
        return v / (1.f + exponential(-2.f * u));
      });
  }
}

void activate(Activation activation, const float* x, float* out, int64_t n) {
  with_activation(activation, [&](auto f) { map(x, out, n, f); });
}

/// sums = f(sums + bias, row, column, how to read there).
template <class F>
inline void finish_rows(float* sums, int64_t stride, int64_t rows, int64_t n, const float* bias, F f) {
  const int64_t whole = n / width * width;
  for (int64_t r = 0; r < rows; ++r) {
    float* const row = sums + r * stride;
    const auto finished = [&](int64_t i, auto read) {
      Vector v = read(row + i);
      if (bias) v += read(bias + i);
      return f(v, r, i, read);
    };
    for (int64_t i = 0; i < whole; i += width) *reinterpret_cast<Vector*>(row + i) = finished(i, vector_at);
    if (whole < n) store_first(finished(whole, [&](const float* from) { return first_of(from, n - whole); }), n - whole, row + whole);
  }
}

void finish(float* sums, int64_t stride, int64_t rows, int64_t n, const Finish& with) {
  if (with.residual)
    return finish_rows(sums, stride, rows, n, with.bias, [&](Vector v, int64_t r, int64_t i, auto read) {
      const Vector to = read(with.residual + r * stride + i);
      return with.gate ? to + rounded(v * read(with.gate + i)) : to + v;
    });
  with_activation(with.activation, [&](auto f) { finish_rows(sums, stride, rows, n, with.bias, [&](Vector v, auto...) { return f(v); }); });
}

/// A row's values less their mean, times the factor that makes their variance 1.
struct Normal {
  float mean, factor;
};

// Two passes over the row: the one-pass formula cancels badly.
inline Normal normal_of(const float* x, int64_t n, float epsilon) {
  const float mean = sum_over(x, n, [](auto sum, auto v) { return sum + v; }) / float(n);
  const float variance = sum_over(x, n, [mean](auto sum, auto v) { return sum + (v - mean) * (v - mean); }) / float(n);
  return {mean, 1 / __builtin_sqrtf(variance + epsilon)};
}

void layer_norm(const float* x, float* out, int64_t n, float epsilon, const float* weight, const float* bias) {
  const Normal normal = normal_of(x, n, epsilon);
  for (int64_t i = 0; i < n; ++i) out[i] = (x[i] - normal.mean) * normal.factor;
  if (weight)
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] * weight[i];
  if (bias)
    for (int64_t i = 0; i < n; ++i) out[i] = out[i] + bias[i];
}

/// `past_caches`: what lies there is not read first, and caches keep what they have; `to` begins at a multiple of a vector's bytes.
template <bool past_caches>
inline void write(float* to, Vector v) {
#if defined(__AVX512F__)
  if constexpr (past_caches) return _mm512_stream_ps(to, reinterpret_cast<__m512>(v));
#elif defined(__AVX2__)
  if constexpr (past_caches) return _mm256_stream_ps(to, reinterpret_cast<__m256>(v));
#elif defined(__SSE2__)
  if constexpr (past_caches) return _mm_stream_ps(to, reinterpret_cast<__m128>(v));
#endif
  *reinterpret_cast<Vector*>(to) = v;
}

/// Makes what was written past the caches visible in the order of the program.
inline void end_writes() {
#if defined(__SSE2__)
  _mm_sfence();
#endif
}

template <bool past_caches>
void modulated_norm_row(const float* x, int64_t n, float epsilon, const float* shift, const float* scale, float* out) {
  const Normal normal = normal_of(x, n, epsilon);
  int64_t i = 0;
  for (; i + width <= n; i += width) {
    if (past_caches && i % lanes == 0) __builtin_prefetch(x + 2 * n + i);   // the row after the next
    write<past_caches>(out + i, rounded((vector_at(x + i) - normal.mean) * normal.factor * (1 + vector_at(scale + i))) + vector_at(shift + i));
  }
  for (; i < n; ++i) out[i] = rounded((x[i] - normal.mean) * normal.factor * (1 + scale[i])) + shift[i];
  if (past_caches) end_writes();
}

void modulated_norm(const float* x, int64_t n, float epsilon, const float* shift, const float* scale, float* out, bool past_caches) {
  (past_caches ? modulated_norm_row<true> : modulated_norm_row<false>)(x, n, epsilon, shift, scale, out);
}

template <bool past_caches>
void add_gated_row(const float* x, const float* branch, const float* gate, int64_t n, float* out) {
  int64_t i = 0;
  for (; i + width <= n; i += width)
    write<past_caches>(out + i, vector_at(x + i) + rounded(vector_at(branch + i) * vector_at(gate + i)));
  for (; i < n; ++i) out[i] = x[i] + rounded(branch[i] * gate[i]);
  if (past_caches) end_writes();
}

void add_gated(const float* x, const float* branch, const float* gate, int64_t n, float* out, bool past_caches) {
  (past_caches ? add_gated_row<true> : add_gated_row<false>)(x, branch, gate, n, out);
}

template <bool past_caches>
void copy_rows(const float* x, int64_t stride, int64_t rows, int64_t n, float* out, int64_t out_stride) {
  for (int64_t r = 0; r < rows; ++r, x += stride, out += out_stride) {
    int64_t i = 0;
    for (; i + width <= n; i += width) write<past_caches>(out + i, vector_at(x + i));
    for (; i < n; ++i) out[i] = x[i];
  }
  if (past_caches) end_writes();
}

void copy(const float* x, int64_t stride, int64_t rows, int64_t n, float* out, int64_t out_stride, bool past_caches) {
  (past_caches ? copy_rows<true> : copy_rows<false>)(x, stride, rows, n, out, out_stride);
}

void rms_norm(const float* x, int64_t stride, float* out, int64_t out_stride, int64_t rows, int64_t n, float epsilon, const float* weight) {
  for_rows(rows, [&]<int Rows>(int64_t row) {
    const float* from = x + row * stride;
    float factors[Rows];
    sums_of_squares<Rows>(from, stride, n, factors);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) factors[r] = 1 / __builtin_sqrtf(factors[r] / float(n) + epsilon);
    for (int64_t i = 0; i < n; i += width) {
      const Vector factor = first_of(weight + i, n - i);
#pragma GCC unroll 4
      for (int r = 0; r < Rows; ++r)
        store_first(first_of(from + r * stride + i, n - i) * factors[r] * factor, n - i, out + (row + r) * out_stride + i);
    }
  });
}

void rotate(const float* x, const float* cosines, const float* sines, int64_t half, float* out) {
  Integers even, odd, low, high;
#pragma GCC unroll 16
  for (int l = 0; l < width; ++l) {
    even[l] = 2 * l;
    odd[l] = 2 * l + 1;
    low[l] = l / 2 + l % 2 * width;
    high[l] = width / 2 + l / 2 + l % 2 * width;
  }
  const auto turn = [&](int64_t i, auto read, auto write) {
    const Vector a = read(x + 2 * i, 2 * (half - i)), b = read(x + 2 * i + width, 2 * (half - i) - width);
    const Vector cosine = read(cosines + i, half - i), sine = read(sines + i, half - i);
    const Vector first = __builtin_shuffle(a, b, even), second = __builtin_shuffle(a, b, odd);
    const Vector p = rounded(first * cosine) - rounded(second * sine), q = rounded(second * cosine) + rounded(first * sine);
    write(__builtin_shuffle(p, q, low), 2 * (half - i), out + 2 * i);
    write(__builtin_shuffle(p, q, high), 2 * (half - i) - width, out + 2 * i + width);
  };
  int64_t i = 0;
  for (; i + width <= half; i += width)
    turn(i, [](const float* from, int64_t) { return vector_at(from); }, [](Vector v, int64_t, float* to) { *reinterpret_cast<Vector*>(to) = v; });
  if (i < half) turn(i, first_of, store_first);
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

void add_four(const float* a, const float* b, const float* c, const float* d, float inner, float outer, int64_t n, float* __restrict out) {
  for (int64_t i = 0; i < n; ++i) out[i] = (a[i] + inner * b[i]) + outer * (c[i] + inner * d[i]);
}

void add_three(const float* x, const float* a, const float* b, const float* c, float inner, float outer, int64_t n, float* out) {
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) out[i] = x[i] + outer * ((a[i] + inner * b[i]) + inner * c[i]);
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
  static constexpr Simd table{PYRACAST_STRING(PYRACAST_SIMD) + 5, tile, quantize, quantized_tile, softmax, activate, finish, layer_norm,
                              modulated_norm, add_gated, copy, rms_norm, rotate, add_moments, widen, add_four, add_three, multiply_adds,
                              chains * width};
  return table;
}

}  // namespace pyracast::cpu
