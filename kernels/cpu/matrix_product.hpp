#pragma once
// One blocked matrix product serves linears, convolutions and attention. Along the depth every output element is one
// chain of fused multiply-adds in rising order, whatever the blocking: that is what makes rows independent.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast::cpu {

inline constexpr int64_t row_block = 240;      // rows of a task: their block [240][depth_block] stays in the second-level cache

/// Columns of a task: few where there are few rows, so that all threads have some.
inline int64_t column_block(int64_t rows) { return rows > 4 * row_block ? 1152 : 384; }

inline int64_t rounded_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

/// Floats of the right factor packed as panels [columns / 32][depth][32], zeros behind the last column.
inline int64_t packed_size(int64_t columns, int64_t depth) { return rounded_up(columns, panel_columns) * depth; }

/// Whether an output has room for whole tiles: its rows for whole panels, and its last tile for tile_rows rows.
enum class Room { exact, whole_tiles };

/// Float32 panels that lie in the cache already.
struct NearPanels {
  const float* panels;
  int64_t depth;
  const float* operator()(int64_t panel, int64_t k, int64_t) const { return panels + (panel * depth + k) * panel_columns; }
  std::span<const std::byte> stored(int64_t, int64_t, int64_t) const { return {}; }
};

/// Panels of weights; bfloat16 is widened a block at a time into `widened`.
struct WeightPanels {
  const Simd& simd;
  const PackedWeights& weights;
  float* widened;
  /// Rows k.. of a panel as they lie in memory.
  std::span<const std::byte> stored(int64_t panel, int64_t k, int64_t count) const {
    const auto element = int64_t(size_of(weights.dtype));
    const auto* all = static_cast<const std::byte*>(weights.data.get());
    return {all + (panel * weights.depth + k) * panel_columns * element, size_t(count * panel_columns * element)};
  }
  const float* operator()(int64_t panel, int64_t k, int64_t count) const {
    const std::byte* values = stored(panel, k, count).data();
    if (weights.dtype == DType::float32) return reinterpret_cast<const float*>(values);
    simd.widen(reinterpret_cast<const bfloat16*>(values), count * panel_columns, widened);
    return widened;
  }
};

/// out[rows, columns] = left * right for one task's block of rows [row_begin, row_end) and columns.
/// `pack_left(row, k, count, a)` writes tile_rows rows of `count` values, left_stride apart, and gives false where all are
/// zero; `panel` gives the right factor; `finish(row, column, count, c)` sees each finished piece of an output row.
template <Room room = Room::exact, class PackLeft, class Panel, class Finish>
void multiply_block(const Simd& simd, int64_t row_begin, int64_t row_end, int64_t column_begin, int64_t column_end,
                    int64_t depth, PackLeft pack_left, Panel panel, float* out, int64_t out_stride, Finish finish) {
  alignas(64) thread_local static float left[row_block * left_stride];
  alignas(64) float edge[tile_rows * panel_columns];
  bool any[row_block / tile_rows];
  const size_t tiles = size_t((row_end - row_begin + tile_rows - 1) / tile_rows);
  for (int64_t k = 0; k < depth; k += depth_block) {
    const int64_t count = std::min(depth_block, depth - k);
    const bool last = k + count == depth;
    for (int64_t r = row_begin; r < row_end; r += tile_rows)
      any[(r - row_begin) / tile_rows] = pack_left(r, k, count, left + (r - row_begin) * left_stride);
    for (int64_t n = column_begin; n < column_end; n += panel_columns) {
      const float* right = panel(n / panel_columns, k, count);
      const int64_t columns = std::min(panel_columns, column_end - n);
      // The next panel comes from far memory: each tile of this one asks for some of it.
      std::span<const std::byte> next;
      if (n + panel_columns < column_end) next = panel.stored(n / panel_columns + 1, k, count);
      const size_t asked = (next.size() / tiles + 63) / 64 * 64;
      for (int64_t r = row_begin; r < row_end; r += tile_rows) {
        const int64_t rows = std::min(tile_rows, row_end - r);
        const int64_t used = any[(r - row_begin) / tile_rows] ? count : 0;   // zeros change no sum
        const float* a = left + (r - row_begin) * left_stride;
        float* c = out + r * out_stride + n;
        const std::span<const std::byte> now = next.first(std::min(asked, next.size()));
        for (size_t line = 0; line < now.size(); line += 64) __builtin_prefetch(now.data() + line, 0, 2);
        next = next.subspan(now.size());
        if (room == Room::whole_tiles || (rows == tile_rows && columns == panel_columns)) {
          simd.tile(used, a, right, columns, c, out_stride, k > 0);
        } else {
          for (int64_t i = 0; i < rows && k > 0; ++i)
            std::memcpy(edge + i * panel_columns, c + i * out_stride, size_t(columns) * 4);
          simd.tile(used, a, right, columns, edge, panel_columns, k > 0);
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
  const int64_t columns = right.columns, depth = right.depth, column_step = column_block(rows);
  const int64_t row_tasks = (rows + row_block - 1) / row_block, row_step = rounded_up((rows + row_tasks - 1) / std::max<int64_t>(row_tasks, 1), tile_rows);
  const int64_t column_tasks = (columns + column_step - 1) / column_step;
#pragma omp parallel for schedule(dynamic) if (row_tasks * column_tasks > 1 && worth_threads(rows * columns * depth))
  for (int64_t task = 0; task < row_tasks * column_tasks; ++task) {
    alignas(64) thread_local static float widened[depth_block * panel_columns];
    const int64_t row = task / column_tasks * row_step, column = task % column_tasks * column_step;
    multiply_block(simd, row, std::min(rows, row + row_step), column, std::min(columns, column + column_step), depth,
                   pack_left, WeightPanels{simd, right, widened}, out, columns, finish);
  }
}

/// Packs rows of a row-major matrix with this row stride.
struct PackRows {
  const float* x;
  int64_t rows, stride;
  bool operator()(int64_t row, int64_t k, int64_t count, float* a) const {
    for (int64_t i = 0; i < tile_rows; ++i)
      if (row + i < rows) std::memcpy(a + i * left_stride, x + (row + i) * stride + k, size_t(count) * 4);
      else std::memset(a + i * left_stride, 0, size_t(count) * 4);
    return true;
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
