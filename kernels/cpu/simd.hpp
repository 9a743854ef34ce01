#pragma once
#include <cstdint>

#include "kernels/backend.hpp"

namespace pyracast::cpu {

struct Amx;

/// Columns of a panel of packed weights; the same for all instruction sets, so that packed weights can be shared.
inline constexpr int64_t panel_columns = 32;
/// Rows of a tile of the matrix product; the same everywhere for the same reason.
inline constexpr int64_t tile_rows = 6;
/// Depth of the blocks that a product is cut into: a panel's block and a tile's rows stay in the first-level cache.
inline constexpr int64_t depth_block = 192;
/// From one row of the left factor to the next; not a multiple of 4 KiB, which would put all rows into the same cache lines.
inline constexpr int64_t left_stride = depth_block + 16;
/// The same of quantized rows.
inline constexpr int64_t quantized_stride = depth_block + 32;

/// What is done to the sums of a product before they are its output; each part may be null.
struct Finish {
  const float* bias = nullptr;
  Activation activation = Activation::none;   ///< behind the bias, where nothing follows
  const float* gate = nullptr;                ///< of what is added to `residual`, the product rounded
  const float* residual = nullptr;            ///< rows as far apart as those of the sums
};

/// The loops whose speed depends on the instruction set. simd.cpp is compiled once for each set and holds nothing else:
/// no inline function of a header is compiled for instructions that the processor may lack, and then linked in for all.
struct Simd {
  const char* name;
  /// c[r][n] = (accumulate ? c[r][n] : 0) + sum over k of a[r][k] * b[k][n], one k after the other; a [tile_rows] rows
  /// left_stride apart, b [depth][panel_columns], c tile_rows x panel_columns with row stride `stride`. Columns from
  /// `columns` on are rounded up to whole vectors; what lies behind those is left alone.
  void (*tile)(int64_t depth, const float* a, const float* b, int64_t columns, float* c, int64_t stride, bool accumulate);
  /// Block floating point: out[i] = x[i] / scale rounded to nearest, ties to even, and a zero behind an odd n; gives the scale, which is as
  /// small as keeps the sum of all |out[i] other[i]| of any two such blocks of at most depth_block values below 2^31 (Cauchy and
  /// Schwarz: it is the block's Euclidean norm over 46000, or its largest value over 32700). 0 where the norm is below 1e-15; NaN
  /// where one of x or the norm's square is no finite number.
  float (*quantize)(const float* x, int64_t n, int16_t* out);
  /// tile() of such blocks: c[r][n] = (accumulate ? c[r][n] : 0) + a_scales[r] * b_scales[n] * sum over k of a[r][k] * b[k / 2][n][k % 2].
  /// a [tile_rows] rows quantized_stride apart, b [pairs][panel_columns][2]; the sums are whole numbers, and exact.
  void (*quantized_tile)(int64_t pairs, const int16_t* a, const float* a_scales, const int16_t* b, const float* b_scales, int64_t columns,
                         float* c, int64_t stride, bool accumulate);
  /// Of each of `rows` rows, `stride` floats apart: x = exp(y - max y) / sum, y = scale * x + bias; bias may be null, its rows lie
  /// bias_stride apart. A row of x has room for n rounded up to 16.
  void (*softmax)(float* x, int64_t stride, int64_t rows, int64_t n, float scale, const float* bias, int64_t bias_stride);
  void (*activate)(Activation activation, const float* x, float* out, int64_t n);
  /// Of `rows` rows of n sums, `stride` floats apart.
  void (*finish)(float* sums, int64_t stride, int64_t rows, int64_t n, const Finish& with);
  /// weight and bias may be null.
  void (*layer_norm)(const float* x, float* out, int64_t n, float epsilon, const float* weight, const float* bias);
  /// (layer_norm() of a row without weight and bias) * (1 + scale) + shift, each operation rounded. `past_caches`: out is not kept in a cache,
  /// and the rows behind x are read ahead; n is a multiple of 16 then, and out begins at a multiple of 64 bytes.
  void (*modulated_norm)(const float* x, int64_t n, float epsilon, const float* shift, const float* scale, float* out, bool past_caches);
  /// out = x + branch * gate, the product rounded. `past_caches` as above.
  void (*add_gated)(const float* x, const float* branch, const float* gate, int64_t n, float* out, bool past_caches);
  /// Of `rows` rows that lie so far apart. `past_caches` as above.
  void (*copy)(const float* x, int64_t stride, int64_t rows, int64_t n, float* out, int64_t out_stride, bool past_caches);
  /// Of `rows` rows that lie so far apart.
  void (*rms_norm)(const float* x, int64_t stride, float* out, int64_t out_stride, int64_t rows, int64_t n, float epsilon, const float* weight);
  /// Turns the pairs (2i, 2i + 1) of x by angles with these cosines and sines, each product rounded; out may be x.
  void (*rotate)(const float* x, const float* cosines, const float* sines, int64_t half, float* out);
  /// Adds x and x^2 to sum and square.
  void (*add_moments)(const float* x, int64_t n, double* sum, double* square);
  void (*widen)(const bfloat16* x, int64_t n, float* out);
  /// out = (a + inner * b) + outer * (c + inner * d), inner and outer 1 or -1.
  void (*add_four)(const float* a, const float* b, const float* c, const float* d, float inner, float outer, int64_t n, float* out);
  /// out = x + outer * ((a + inner * b) + inner * c), inner and outer 1 or -1; out may be x.
  void (*add_three)(const float* x, const float* a, const float* b, const float* c, float inner, float outer, int64_t n, float* out);
  /// Adds 1 to each of fma_lanes numbers `rounds` times, by multiply-adds on registers; the sum of all. As fast as the
  /// processor can go: the yardstick of the other loops.
  float (*multiply_adds)(int64_t rounds);
  int fma_lanes;
  /// Where it is there, weights may lie in its tiles, and attention multiplies in them.
  const Amx* amx = nullptr;
};

const Simd& simd_portable();
const Simd& simd_avx2();
const Simd& simd_avx512();
/// AVX-512 with VNNI, which multiplies and adds 16-bit integers in one instruction; the same bits.
const Simd& simd_avx512vnni();

}  // namespace pyracast::cpu
