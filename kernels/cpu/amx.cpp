// Products in block floating point on AMX. Its tiles multiply numbers of 8 bits, so that one of 16 is taken as 256 high + low, high with
// a sign and low without: four products of bytes, which the instruction set has for every pairing of signs, make the whole sum, exact
// as on other instruction sets. Compiled without AMX (tests do), the same code runs on tiles in memory.
#include "kernels/cpu/amx.hpp"

#include <cstring>

#if defined(__AMX_INT8__)
#include <immintrin.h>
#endif

namespace pyracast::cpu {
namespace {

constexpr int tile_side = 16;   // rows of a tile, and 32-bit numbers of a row
static_assert(amx_tile == tile_side * tile_side * 4 && amx_rows % tile_side == 0 && panel_columns % tile_side == 0);

// Tiles 0 to 3: sums of high * high, high * low, low * high and low * low; 4 and 5: high and low of the left factor, 6 and 7 of the right one.
#if defined(__AMX_INT8__)

struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {tile_side, tile_side, tile_side, tile_side, tile_side, tile_side, tile_side, tile_side};
};
static_assert(sizeof(TileConfiguration) == 64);

void configure() {
  static constexpr TileConfiguration all;   // not on the stack: gcc 12 takes _tile_loadconfig to read 8 bytes, and leaves out stores of the others
  _tile_loadconfig(&all);
}

void release() { _tile_release(); }

inline void clear_sums() {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
}

inline void add_products(const std::byte* left, const std::byte* right) {
  _tile_loadd(4, left, 64);
  _tile_loadd(6, right, 64);
  _tile_dpbssd(0, 4, 6);
  _tile_loadd(7, right + amx_tile, 64);
  _tile_dpbsud(1, 4, 7);
  _tile_loadd(5, left + amx_tile, 64);
  _tile_dpbusd(2, 5, 6);
  _tile_dpbuud(3, 5, 7);
}

inline void store_sums(int (&sums)[4][tile_side][tile_side]) {
  _tile_stored(0, sums[0], 64);
  _tile_stored(1, sums[1], 64);
  _tile_stored(2, sums[2], 64);
  _tile_stored(3, sums[3], 64);
}

#else

thread_local int tiles[4][tile_side][tile_side];
thread_local bool configured = false;

void configure() { configured = true; }
void release() { configured = false; }

void clear_sums() {
  if (!configured) __builtin_trap();   // what the processor does
  std::memset(tiles, 0, sizeof tiles);
}

template <class Left, class Right>
void add_products(int (&sums)[tile_side][tile_side], const std::byte* left, const std::byte* right) {
  for (int r = 0; r < tile_side; ++r)
    for (int n = 0; n < tile_side; ++n)
      for (int k = 0; k < 64; ++k) sums[r][n] += Left(left[r * 64 + k]) * Right(right[k / 4 * 64 + n * 4 + k % 4]);
}

void add_products(const std::byte* left, const std::byte* right) {
  add_products<int8_t, int8_t>(tiles[0], left, right);
  add_products<int8_t, uint8_t>(tiles[1], left, right + amx_tile);
  add_products<uint8_t, int8_t>(tiles[2], left + amx_tile, right);
  add_products<uint8_t, uint8_t>(tiles[3], left + amx_tile, right + amx_tile);
}

void store_sums(int (&sums)[4][tile_side][tile_side]) { std::memcpy(sums, tiles, sizeof tiles); }

#endif

/// Bytes from one step of depth to the next in a panel: high and low of two tiles of columns.
constexpr int64_t right_step = 2 * amx_tile * (panel_columns / tile_side);

void set_left(const int16_t* row, int64_t r, int64_t n, std::byte* left) {
  const int64_t steps = amx_steps(n);
  std::byte* at = left + r / tile_side * steps * 2 * amx_tile + r % tile_side * 64;
  for (int64_t s = 0; s < steps; ++s, at += 2 * amx_tile, row += amx_depth, n -= amx_depth) {
    int16_t padded[amx_depth] = {};
    const int16_t* from = row;
    if (n < amx_depth) from = static_cast<const int16_t*>(std::memcpy(padded, row, size_t(n) * sizeof *row));
    for (int64_t i = 0; i < amx_depth; ++i) {
      at[i] = std::byte(uint16_t(from[i]) >> 8);
      at[i + amx_tile] = std::byte(from[i] & 0xff);
    }
  }
}

void set_right(const int16_t* column, int64_t c, int64_t n, std::byte* right) {
  for (int64_t i = 0; i < amx_steps(n) * amx_depth; ++i) {
    const int16_t value = i < n ? column[i] : int16_t(0);
    std::byte* at = right + i / amx_depth * right_step + c / tile_side * 2 * amx_tile + i % amx_depth / 4 * 64 + c % tile_side * 4 + i % 4;
    at[0] = std::byte(uint16_t(value) >> 8);
    at[amx_tile] = std::byte(value & 0xff);
  }
}

void multiply(int64_t rows, int64_t depth, const std::byte* left, const float* left_scales, const std::byte* right, const float* right_scales,
              int64_t columns, float* c, int64_t stride, bool accumulate) {
  const int64_t steps = amx_steps(depth);
  alignas(64) int sums[4][tile_side][tile_side];
  for (int64_t row = 0; row < rows; row += tile_side, left += steps * 2 * amx_tile)
    for (int64_t column = 0; column < columns; column += tile_side) {
      clear_sums();
      for (int64_t s = 0; s < steps; ++s) add_products(left + s * 2 * amx_tile, right + s * right_step + column / tile_side * 2 * amx_tile);
      store_sums(sums);
      for (int64_t r = 0; r < tile_side && row + r < rows; ++r) {
        float* out = c + (row + r) * stride + column;
        for (int64_t n = 0; n < tile_side; ++n) {
          // The parts may leave 32 bits; the whole sum does not (quantize), and unsigned numbers wrap.
          const unsigned middle = unsigned(sums[1][r][n]) + unsigned(sums[2][r][n]);
          const int sum = int((unsigned(sums[0][r][n]) << 16) + (middle << 8) + unsigned(sums[3][r][n]));
          const float product = left_scales[row + r] * right_scales[column + n] * float(sum);
          out[n] = accumulate ? out[n] + product : product;
        }
      }
    }
}

}  // namespace

const Amx& PYRACAST_AMX() {
  static constexpr Amx table{configure, release, set_left, set_right, multiply};
  return table;
}

}  // namespace pyracast::cpu
