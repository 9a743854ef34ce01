#pragma once
#include <cstdint>

#include "kernels/cpu/simd.hpp"

namespace pyracast::cpu {

/// Rows of the left factor, and columns of the right one, that go together: two tiles of AMX's each.
inline constexpr int64_t amx_block = 32;
/// Values of depth that a tile of bfloat16 holds.
inline constexpr int64_t amx_depth = 32;
/// Elements of a step of depth of such a block.
inline constexpr int64_t amx_step = amx_block * amx_depth;

/// Steps along so many values of depth; the last is filled up with zeros.
constexpr int64_t amx_steps(int64_t depth) { return (depth + amx_depth - 1) / amx_depth; }

/// Where the first value of row r of a block of a left factor lies; those of the next step lie amx_step on.
constexpr int64_t amx_left_at(int64_t r) { return r * amx_depth; }
/// The same of value k of column c of a panel of a right factor, in which two values of depth lie together.
constexpr int64_t amx_right_at(int64_t k, int64_t c) {
  return k / amx_depth * amx_step + c / 16 * (amx_step / 2) + k % amx_depth / 2 * 32 + c % 16 * 2 + k % 2;
}

/// Products of factors rounded to bfloat16, summed in float32, on AMX (Intel's manual, "Intel AMX Instruction Set Reference", TDPBF16PS).
/// A left factor is laid out as [rows / 32][steps of depth][32 rows][32], a right one as panels [columns / 32][steps of depth][2][16][16][2].
/// The order of an element's sum depends on the depth alone.
struct Amx {
  /// Makes the calling thread's tiles ready for multiply(), and gives them up, after which the system need not keep them.
  void (*configure)();
  void (*release)();
  /// Rounds `n` values of a row of a left factor, and zeros up to a whole step: to[0..32), to[amx_step..), and so on.
  void (*round_row)(const float* x, int64_t n, bfloat16* to);
  /// A panel of a right factor of `depth` values of depth, zeros behind the last of `columns`: column c is row c of x, `stride` floats apart; or row
  /// k of x holds value k of depth of all columns.
  void (*round_columns)(const float* x, int64_t stride, int64_t columns, int64_t depth, bfloat16* panel);
  void (*round_depths)(const float* x, int64_t stride, int64_t columns, int64_t depth, bfloat16* panel);
  /// sums = (accumulate ? sums : 0) + left * right of a block of rows and a panel, `steps` of depth; sums [32][32], rows `stride` floats apart. In
  /// each step `asked` lines of memory from `next` on are asked for, 64 bytes each.
  void (*multiply)(int64_t steps, const bfloat16* left, const bfloat16* right, float* sums, int64_t stride, bool accumulate, const bfloat16* next,
                   int64_t asked);
  /// Stores finished sums, without an activation: rows 32 floats apart in `sums`, `stride` in the others.
  /// `past_caches`: as Simd::modulated_norm has it, of whole rows of 32 columns; other threads see them after release().
  void (*store)(const float* sums, int64_t rows, int64_t columns, const Finish& with, float* out, int64_t stride, bool past_caches);
  /// The same of gelu(sums[r][n] + bias[n]), Activation::gelu_tanh.
  void (*store_gelu)(const float* sums, int64_t rows, int64_t columns, const float* bias, float* out, int64_t stride, bool past_caches);
  /// Rounds exp(y - max y), y = scale * x + bias, as round_row() does; bias may be null. Gives 1 over the sum of what was not rounded yet. x has room
  /// for n rounded up to 16.
  float (*exponentials)(const float* x, int64_t n, float scale, const float* bias, bfloat16* to);
  /// out[n] = sums[n] * factor.
  void (*store_scaled)(const float* sums, int64_t columns, float factor, float* out);
  /// Products of ones in four tiles of sums, `rounds` times each: 128 a round, the sum of one number of each; exact up to 2^17 rounds. As
  /// Simd::multiply_adds the yardstick of multiply().
  float (*multiply_ones)(int64_t rounds);
  static constexpr int64_t flop_of_round = 4 * 2 * 16 * 16 * amx_depth;
};

/// On the processor's tiles. Only where the processor has AMX with bfloat16 and the system lets this process use it (devices.cpp).
const Amx& amx_tiles();

/// The calling thread's tiles, ready as long as this lives.
class AmxTiles {
 public:
  explicit AmxTiles(const Amx& amx) : amx_(amx) { amx.configure(); }
  ~AmxTiles() { amx_.release(); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

 private:
  const Amx& amx_;
};

}  // namespace pyracast::cpu
