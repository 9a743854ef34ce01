#pragma once
#include <cstddef>
#include <cstdint>

#include "kernels/cpu/simd.hpp"

namespace pyracast::cpu {

/// Bytes of a tile of AMX's: 16 rows of 64.
inline constexpr int64_t amx_tile = 1024;
/// Rows of the left factor that go together, in tiles of 16: a whole number of these and of tile_rows.
inline constexpr int64_t amx_rows = 48;
/// Values of depth that a tile holds.
inline constexpr int64_t amx_depth = 64;

/// Tiles along so many values of depth; the last is filled up with zeros.
constexpr int64_t amx_steps(int64_t depth) { return (depth + amx_depth - 1) / amx_depth; }

/// Products in block floating point on AMX (Intel's manual, "Intel AMX Instruction Set Reference"), with the bits of Simd::quantized_tile.
/// A left factor is laid out as [rows / 16][steps of depth][high, low] tiles, a panel of the right one as
/// [steps of depth][columns / 16][high, low] tiles, in which four values of depth lie together.
struct Amx {
  /// Makes the calling thread's tiles ready for multiply(), and gives them up, after which the system need not keep them.
  void (*configure)();
  void (*release)();
  /// Lays down `n` quantized values of row r of a left factor, of column c of a right one.
  void (*set_left)(const int16_t* row, int64_t r, int64_t n, std::byte* left);
  void (*set_right)(const int16_t* column, int64_t c, int64_t n, std::byte* right);
  /// c[r][n] = (accumulate ? c[r][n] : 0) + left_scales[r] * right_scales[n] * the sum of products over at most depth_block values of depth;
  /// `columns` is rounded up to 16.
  void (*multiply)(int64_t rows, int64_t depth, const std::byte* left, const float* left_scales, const std::byte* right, const float* right_scales,
                   int64_t columns, float* c, int64_t stride, bool accumulate);
};

/// On the processor's tiles. Only where the processor has AMX with 8-bit integers and the system lets this process use it (devices.cpp).
const Amx& amx_tiles();

}  // namespace pyracast::cpu
