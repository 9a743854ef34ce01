#pragma once
// One blocked matrix product serves linears, convolutions and attention. Along the depth every output element is one
// chain of fused multiply-adds in rising order, whatever the blocking: that is what makes rows independent.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast::cpu {

inline constexpr int64_t row_block = 240;      // rows of a task: their block [240][depth_block] stays in the second-level cache
inline constexpr int64_t column_block = 512;   // columns of a task

inline int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// Floats of the right factor packed as panels [columns / 32][depth][32], zeros behind the last column.
inline int64_t packed_size(int64_t columns, int64_t depth) { return rounded_up(columns, panel_columns) * depth; }

/// Whether an output has room for whole tiles: its rows for whole panels, and its last tile for tile_rows rows.
enum class Room { exact, whole_tiles };

/// out[rows, columns] = left * right for one task's block of rows [row_begin, row_end) and columns.
/// `pack_left(row, k, count, a)` writes tile_rows rows of `count` values, left_stride apart; `panel(p, k, count)` gives rows
/// k.. of panel p as [count][32]; `finish(row, column, count, c)` sees each finished piece of an output row.
template <Room room = Room::exact, class PackLeft, class Panel, class Finish>
void multiply_block(const Simd& simd, int64_t row_begin, int64_t row_end, int64_t column_begin, int64_t column_end,
                    int64_t depth, PackLeft pack_left, Panel panel, float* out, int64_t out_stride, Finish finish) {
  alignas(64) thread_local static float left[row_block * left_stride];
  alignas(64) float edge[tile_rows * panel_columns];
  for (int64_t k = 0; k < depth; k += depth_block) {
    const int64_t count = std::min(depth_block, depth - k);
    const bool last = k + count == depth;
    for (int64_t r = row_begin; r < row_end; r += tile_rows) pack_left(r, k, count, left + (r - row_begin) * left_stride);
    for (int64_t n = column_begin; n < column_end; n += panel_columns) {
      const float* right = panel(n / panel_columns, k, count);
      const int64_t columns = std::min(panel_columns, column_end - n);
      for (int64_t r = row_begin; r < row_end; r += tile_rows) {
        const int64_t rows = std::min(tile_rows, row_end - r);
        const float* a = left + (r - row_begin) * left_stride;
        float* c = out + r * out_stride + n;
        if (room == Room::whole_tiles || (rows == tile_rows && columns == panel_columns)) {
          simd.tile(count, a, right, columns, c, out_stride, k > 0);
        } else {
          for (int64_t i = 0; i < rows && k > 0; ++i)
            std::memcpy(edge + i * panel_columns, c + i * out_stride, size_t(columns) * 4);
          simd.tile(count, a, right, columns, edge, panel_columns, k > 0);
          for (int64_t i = 0; i < rows; ++i)
            std::memcpy(c + i * out_stride, edge + i * panel_columns, size_t(columns) * 4);
        }
        if (last)
          for (int64_t i = 0; i < rows; ++i) finish(r + i, n, columns, c + i * out_stride);
      }
    }
  }
}

/// All rows and columns, tasks over OpenMP threads; arguments as in multiply_block. Weights are float32 or bfloat16
/// panels, the latter widened a block at a time.
template <class PackLeft, class Finish>
void multiply(const Simd& simd, int64_t rows, const PackedWeights& right, PackLeft pack_left, float* out,
              Finish finish) {
  const int64_t columns = right.columns, depth = right.depth;
  const int64_t row_tasks = (rows + row_block - 1) / row_block;
  const int64_t column_tasks = (columns + column_block - 1) / column_block;
#pragma omp parallel for schedule(dynamic) if (row_tasks * column_tasks > 1)
  for (int64_t task = 0; task < row_tasks * column_tasks; ++task) {
    alignas(64) thread_local static float widened[depth_block * panel_columns];
    const int64_t row = task / column_tasks * row_block, column = task % column_tasks * column_block;
    const auto panel = [&](int64_t p, int64_t k, int64_t count) -> const float* {
      const int64_t offset = (p * depth + k) * panel_columns;
      if (right.dtype == DType::float32) return static_cast<const float*>(right.data.get()) + offset;
      const bfloat16* stored = static_cast<const bfloat16*>(right.data.get()) + offset;
      simd.widen(stored, count * panel_columns, widened);
      return widened;
    };
    multiply_block(simd, row, std::min(rows, row + row_block), column, std::min(columns, column + column_block), depth,
                   pack_left, panel, out, columns, finish);
  }
}

/// Packs rows of a row-major matrix with this row stride.
struct PackRows {
  const float* x;
  int64_t rows, stride;
  void operator()(int64_t row, int64_t k, int64_t count, float* a) const {
    for (int64_t i = 0; i < tile_rows; ++i)
      if (row + i < rows) std::memcpy(a + i * left_stride, x + (row + i) * stride + k, size_t(count) * 4);
      else std::memset(a + i * left_stride, 0, size_t(count) * 4);
  }
};

/// Bias, then activation, on a finished piece of a row.
struct Epilogue {
  const Simd& simd;
  const float* bias;   // may be null
  Activation activation;
  void operator()(int64_t, int64_t column, int64_t count, float* c) const {
    if (bias)
      for (int64_t i = 0; i < count; ++i) c[i] += bias[column + i];
    if (activation != Activation::none) simd.activate(activation, c, c, count);
  }
};

}  // namespace pyracast::cpu
