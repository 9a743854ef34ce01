// Products of bfloat16 on AMX. Compiled without AMX (tests do), the same code runs on tiles in memory, which give the same bits. It includes no
// inline function that computes: one compiled here might be linked in for processors that lack these instructions.
#include "kernels/cpu/amx.hpp"

#include <cstring>

#if defined(__AMX_BF16__)
#include <immintrin.h>
#include <initializer_list>
#else
#include <cmath>
#endif

namespace pyracast::cpu {
namespace {

constexpr int64_t tile = 512;   // elements of bfloat16: 16 rows of 64 bytes
static_assert(amx_step == 2 * tile && panel_columns == amx_block);

// Tiles 0 to 3 hold the sums of 2 x 2 tiles, 4 and 5 the left factor's, 6 and 7 the right one's.
#if defined(__AMX_BF16__)

struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64);

void configure() {
  static constexpr TileConfiguration all;   // not on the stack: gcc 12 takes _tile_loadconfig to read 8 bytes, and leaves out stores of the others
  _tile_loadconfig(&all);
}

void release() {
  _tile_release();
  _mm_sfence();   // what was stored past the caches
}

inline void clear_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

inline void load_sums(const float* sums, int64_t stride) {
  _tile_loadd(0, sums, stride * 4);
  _tile_loadd(1, sums + 16, stride * 4);
  _tile_loadd(2, sums + 16 * stride, stride * 4);
  _tile_loadd(3, sums + 16 * stride + 16, stride * 4);
}

inline void store_sums(float* sums, int64_t stride) {
  _tile_stored(0, sums, stride * 4);
  _tile_stored(1, sums + 16, stride * 4);
  _tile_stored(2, sums + 16 * stride, stride * 4);
  _tile_stored(3, sums + 16 * stride + 16, stride * 4);
}

// The left factor streams by: the panel of the right one is to stay in the first-level cache.
inline void add_products(const bfloat16* left, const bfloat16* right) {
  _tile_loadd(6, right, 64);
  _tile_stream_loadd(4, left, 64);
  _tile_dpbf16ps(0, 4, 6);
  _tile_loadd(7, right + tile, 64);
  _tile_dpbf16ps(1, 4, 7);
  _tile_stream_loadd(5, left + tile, 64);
  _tile_dpbf16ps(2, 5, 6);
  _tile_dpbf16ps(3, 5, 7);
}

/// Products of what these tiles hold.
inline void multiply_loaded(const bfloat16* both, int64_t rounds) {
  _tile_loadd(4, both, 64);
  _tile_loadd(5, both + tile, 64);
  _tile_loadd(6, both, 64);
  _tile_loadd(7, both + tile, 64);
  for (int64_t i = 0; i < rounds; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
}

/// The first `n` of 16 values; zeros behind.
inline __mmask16 first(int64_t n) { return n >= 16 ? 0xffff : n > 0 ? __mmask16((1u << n) - 1) : 0; }
inline __m512 values(const float* x, int64_t n) { return _mm512_maskz_loadu_ps(first(n), x); }

/// 16 pairs of bfloat16.
inline __m512i rounded(__m512 low, __m512 high) {
  const __m512bh both = _mm512_cvtne2ps_pbh(high, low);
  return reinterpret_cast<const __m512i&>(both);
}

void round_row(const float* x, int64_t n, bfloat16* to) {
  for (; n >= amx_depth; n -= amx_depth, x += amx_depth, to += amx_step)
    _mm512_storeu_si512(to, rounded(_mm512_loadu_ps(x), _mm512_loadu_ps(x + 16)));
  if (n > 0) _mm512_storeu_si512(to, rounded(values(x, n), values(x + 16, n - 16)));
}

/// The transpose of 16 x 16 numbers of 32 bits.
inline void transpose(__m512i (&rows)[16]) {
  __m512i pairs[16], fours[16];
#pragma GCC unroll 8
  for (int i = 0; i < 16; i += 2) {
    pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
    pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 16; i += 4)
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      fours[i + 2 * j] = _mm512_unpacklo_epi64(pairs[i + j], pairs[i + j + 2]);
      fours[i + 2 * j + 1] = _mm512_unpackhi_epi64(pairs[i + j], pairs[i + j + 2]);
    }
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {   // lanes of 4 numbers: fours[4 i + j] holds columns j, 4 + j, 8 + j, 12 + j of rows 4 i to 4 i + 3
    const __m512i a = _mm512_shuffle_i32x4(fours[j], fours[4 + j], 0x88), b = _mm512_shuffle_i32x4(fours[8 + j], fours[12 + j], 0x88);
    const __m512i c = _mm512_shuffle_i32x4(fours[j], fours[4 + j], 0xdd), d = _mm512_shuffle_i32x4(fours[8 + j], fours[12 + j], 0xdd);
    rows[j] = _mm512_shuffle_i32x4(a, b, 0x88);
    rows[4 + j] = _mm512_shuffle_i32x4(c, d, 0x88);
    rows[8 + j] = _mm512_shuffle_i32x4(a, b, 0xdd);
    rows[12 + j] = _mm512_shuffle_i32x4(c, d, 0xdd);
  }
}

void round_columns(const float* x, int64_t stride, int64_t columns, int64_t depth, bfloat16* panel) {
  for (int64_t k = 0; k < depth; k += amx_depth)
    for (int64_t half = 0; half < 2; ++half, panel += tile) {
      __m512i pairs[16];
#pragma GCC unroll 16
      for (int64_t i = 0; i < 16; ++i) {
        const int64_t column = half * 16 + i, there = column < columns ? depth - k : 0;
        pairs[i] = rounded(values(x + column * stride + k, there), values(x + column * stride + k + 16, there - 16));
      }
      transpose(pairs);
#pragma GCC unroll 16
      for (int i = 0; i < 16; ++i) _mm512_storeu_si512(panel + i * 32, pairs[i]);
    }
}

void round_depths(const float* x, int64_t stride, int64_t columns, int64_t depth, bfloat16* panel) {
  const __m512i beside = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2,
                                          17, 1, 16, 0);
  for (int64_t k = 0; k < amx_steps(depth) * amx_depth; k += 2) {
    bfloat16* to = panel + amx_right_at(k, 0);
    for (int64_t half = 0; half < 2; ++half, to += tile) {
      const float* from = x + k * stride + half * 16;
      const int64_t there = columns - half * 16;
      const __m512i both = rounded(values(from, k < depth ? there : 0), values(from + stride, k + 1 < depth ? there : 0));
      _mm512_storeu_si512(to, _mm512_permutexvar_epi16(beside, both));
    }
  }
}

/// exp(x), to 3e-6 of it: 2^n p(r), x = (n + r) ln 2, Taylor's p.
inline __m512 exponential(__m512 x) {
  const __m512 t = _mm512_mul_ps(x, _mm512_set1_ps(1.4426950408889634f));
  const __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 r = _mm512_sub_ps(t, n);
  __m512 p = _mm512_set1_ps(1.3333558146e-3f);
  for (const float c : {9.6181291076e-3f, 5.5504108665e-2f, 0.24022650696f, 0.69314718056f, 1.f}) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  return _mm512_scalef_ps(p, n);
}

/// x (1 + tanh u) / 2 = x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3).
inline __m512 gelu(__m512 x) {
  const __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(_mm512_mul_ps(x, x), x), _mm512_set1_ps(0.044715f), x);
  const __m512 below = _mm512_add_ps(_mm512_set1_ps(1.f), exponential(_mm512_mul_ps(cubic, _mm512_set1_ps(-2 * 0.7978845608028654f))));
  const __m512 near = _mm512_rcp14_ps(below);   // 0 where it is infinite
  const __m512 error = _mm512_fnmadd_ps(_mm512_min_ps(below, _mm512_set1_ps(1e30f)), near, _mm512_set1_ps(1.f));
  return _mm512_mul_ps(x, _mm512_fmadd_ps(near, error, near));   // Newton's step
}

template <bool past_caches, class Last>
void store_rows(const float* sums, int64_t rows, int64_t columns, const float* bias, float* out, int64_t stride, Last last) {
  for (int64_t n = 0; n < columns; n += 16) {
    const __mmask16 there = first(columns - n);
    const __m512 added = bias ? _mm512_maskz_loadu_ps(there, bias + n) : _mm512_setzero_ps();
    for (int64_t r = 0; r < rows; ++r) {
      __m512 value = _mm512_maskz_loadu_ps(there, sums + r * amx_block + n);
      if (bias) value = _mm512_add_ps(value, added);
      value = last(value, there, r, n);
      if constexpr (past_caches) _mm512_stream_ps(out + r * stride + n, value);
      else _mm512_mask_storeu_ps(out + r * stride + n, there, value);
    }
  }
}

void store(const float* sums, int64_t rows, int64_t columns, const Finish& with, float* out, int64_t stride, bool past_caches) {
  const auto last = [&](__m512 value, __mmask16 there, int64_t r, int64_t n) {
    if (with.gate) value = _mm512_mul_ps(value, _mm512_maskz_loadu_ps(there, with.gate + n));
    return with.residual ? _mm512_add_ps(value, _mm512_maskz_loadu_ps(there, with.residual + r * stride + n)) : value;
  };
  if (past_caches) store_rows<true>(sums, rows, columns, with.bias, out, stride, last);
  else store_rows<false>(sums, rows, columns, with.bias, out, stride, last);
}

void store_gelu(const float* sums, int64_t rows, int64_t columns, const float* bias, float* out, int64_t stride, bool past_caches) {
  const auto last = [](__m512 value, __mmask16, int64_t, int64_t) { return gelu(value); };
  if (past_caches) store_rows<true>(sums, rows, columns, bias, out, stride, last);
  else store_rows<false>(sums, rows, columns, bias, out, stride, last);
}

float exponentials(const float* x, int64_t n, float scale, const float* bias, bfloat16* to) {
  const __m512 none = _mm512_set1_ps(-__builtin_inff()), by = _mm512_set1_ps(scale);
  const auto scaled = [&](int64_t i) {
    if (i >= n) return none;
    __m512 y = _mm512_mul_ps(_mm512_loadu_ps(x + i), by);
    if (bias) y = _mm512_add_ps(y, values(bias + i, n - i));
    return _mm512_mask_blend_ps(first(n - i), none, y);
  };
  __m512 most = none;
  for (int64_t i = 0; i < n; i += 16) most = _mm512_max_ps(most, scaled(i));
  const __m512 largest = _mm512_set1_ps(_mm512_reduce_max_ps(most));
  __m512 sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < n; i += amx_depth, to += amx_step) {
    const __m512 low = exponential(_mm512_sub_ps(scaled(i), largest)), high = exponential(_mm512_sub_ps(scaled(i + 16), largest));
    sum = _mm512_add_ps(sum, _mm512_add_ps(low, high));
    _mm512_storeu_si512(to, rounded(low, high));
  }
  return 1 / _mm512_reduce_add_ps(sum);
}

void store_scaled(const float* sums, int64_t columns, float factor, float* out) {
  for (int64_t n = 0; n < columns; n += 16)
    _mm512_mask_storeu_ps(out + n, first(columns - n), _mm512_mul_ps(values(sums + n, columns - n), _mm512_set1_ps(factor)));
}

inline void ask_for(const bfloat16* next) { _mm_prefetch(reinterpret_cast<const char*>(next), _MM_HINT_T1); }

#else

thread_local float tiles[2][2][16][16];
thread_local bool configured = false;

void configure() { configured = true; }
void release() { configured = false; }

void clear_sums() { std::memset(tiles, 0, sizeof tiles); }

void load_sums(const float* sums, int64_t stride) {
  for (int64_t r = 0; r < amx_block; ++r)
    for (int64_t n = 0; n < amx_block; ++n) tiles[r / 16][n / 16][r % 16][n % 16] = sums[r * stride + n];
}

void store_sums(float* sums, int64_t stride) {
  for (int64_t r = 0; r < amx_block; ++r)
    for (int64_t n = 0; n < amx_block; ++n) sums[r * stride + n] = tiles[r / 16][n / 16][r % 16][n % 16];
}

// As the manual has it: the even and the odd values of depth make a chain of fused multiply-adds each, whose sum is added.
void add_products(const bfloat16* left, const bfloat16* right) {
  if (!configured) __builtin_trap();   // what the processor does
  for (int64_t r = 0; r < amx_block; ++r)
    for (int64_t n = 0; n < amx_block; ++n) {
      float chains[2] = {0, 0};
      for (int64_t k = 0; k < amx_depth; ++k)
        chains[k % 2] = std::fma(float(left[amx_left_at(r) + k]), float(right[amx_right_at(k, n)]), chains[k % 2]);
      tiles[r / 16][n / 16][r % 16][n % 16] += chains[0] + chains[1];
    }
}

void multiply_loaded(const bfloat16* both, int64_t rounds) {
  for (int64_t i = 0; i < rounds; ++i) add_products(both, both);
}

void round_row(const float* x, int64_t n, bfloat16* to) {
  for (int64_t k = 0; k < amx_steps(n) * amx_depth; ++k) to[k / amx_depth * amx_step + k % amx_depth] = bfloat16(k < n ? x[k] : 0.f);
}

void store(const float* sums, int64_t rows, int64_t columns, const Finish& with, float* out, int64_t stride, bool) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t n = 0; n < columns; ++n) {
      float value = sums[r * amx_block + n];
      if (with.bias) value += with.bias[n];
      if (with.gate) value *= with.gate[n];
      if (with.residual) value += with.residual[r * stride + n];
      out[r * stride + n] = value;
    }
}

float gelu(float x) { return x / (1 + std::exp(-2 * 0.7978845608028654f * (x + 0.044715f * x * x * x))); }

void store_gelu(const float* sums, int64_t rows, int64_t columns, const float* bias, float* out, int64_t stride, bool) {
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t n = 0; n < columns; ++n) out[r * stride + n] = gelu(sums[r * amx_block + n] + (bias ? bias[n] : 0.f));
}

void round_columns(const float* x, int64_t stride, int64_t columns, int64_t depth, bfloat16* panel) {
  for (int64_t k = 0; k < amx_steps(depth) * amx_depth; ++k)
    for (int64_t c = 0; c < amx_block; ++c) panel[amx_right_at(k, c)] = bfloat16(k < depth && c < columns ? x[c * stride + k] : 0.f);
}

void round_depths(const float* x, int64_t stride, int64_t columns, int64_t depth, bfloat16* panel) {
  for (int64_t k = 0; k < amx_steps(depth) * amx_depth; ++k)
    for (int64_t c = 0; c < amx_block; ++c) panel[amx_right_at(k, c)] = bfloat16(k < depth && c < columns ? x[k * stride + c] : 0.f);
}

float exponentials(const float* x, int64_t n, float scale, const float* bias, bfloat16* to) {
  const auto scaled = [&](int64_t i) { return x[i] * scale + (bias ? bias[i] : 0.f); };
  float largest = scaled(0), sum = 0;
  for (int64_t i = 1; i < n; ++i) largest = std::fmax(largest, scaled(i));
  for (int64_t i = 0; i < amx_steps(n) * amx_depth; ++i) {
    const float value = i < n ? std::exp(scaled(i) - largest) : 0;
    sum += value;
    to[i / amx_depth * amx_step + i % amx_depth] = bfloat16(value);
  }
  return 1 / sum;
}

void store_scaled(const float* sums, int64_t columns, float factor, float* out) {
  for (int64_t n = 0; n < columns; ++n) out[n] = sums[n] * factor;
}

void ask_for(const bfloat16*) {}

#endif

void multiply(int64_t steps, const bfloat16* left, const bfloat16* right, float* sums, int64_t stride, bool accumulate, const bfloat16* next,
              int64_t asked) {
  constexpr int64_t line = 32;   // elements
  if (accumulate) load_sums(sums, stride);
  else clear_sums();
  for (int64_t s = 0; s < steps; ++s, left += amx_step, right += amx_step) {
    add_products(left, right);
    for (int64_t i = 0; i < asked; ++i, next += line) ask_for(next);
  }
  store_sums(sums, stride);
}

float multiply_ones(int64_t rounds) {
  alignas(64) bfloat16 ones[2 * tile];
  for (bfloat16& one : ones) one.bits = 0x3f80;
  alignas(64) float sums[amx_block * amx_block];
  configure();
  clear_sums();
  multiply_loaded(ones, rounds);
  store_sums(sums, amx_block);
  release();
  return sums[0] + sums[16] + sums[16 * amx_block] + sums[16 * amx_block + 16];
}

}  // namespace

const Amx& PYRACAST_AMX() {
  static constexpr Amx table{configure, release, round_row, round_columns, round_depths, multiply, store, store_gelu, exponentials, store_scaled,
                             multiply_ones};
  return table;
}

}  // namespace pyracast::cpu
