#pragma once
// The product of rows with weights, however these lie.
#include <omp.h>

#include "kernels/cpu/tile_product.hpp"

namespace pyracast::cpu {

/// All rows and columns, tasks over OpenMP threads; arguments as in multiply_block. bfloat16 panels are widened a block at a time.
template <class PackLeft>
void multiply(const Simd& simd, int64_t rows, const PackedWeights& right, PackLeft pack_left, float* out, Epilogue finish) {
  if (right.layout == WeightLayout::tiles) return multiply_in_tiles(simd, rows, right, pack_left, out, finish);
  const int64_t columns = right.columns, depth = right.depth;
  const int64_t row_tasks = (rows + row_block - 1) / row_block,
                row_step = rounded_up((rows + row_tasks - 1) / std::max<int64_t>(row_tasks, 1), tile_rows);
  // Each task rounds its rows for itself: where all threads have some without it, columns are not dealt out.
  const int threads = omp_get_max_threads();
  const bool whole_rows = right.dtype == DType::int16 && (threads == 1 || row_tasks >= 16 * threads);
  const int64_t column_step = whole_rows ? rounded_up(columns, panel_columns) : column_block(rows);
  const int64_t column_tasks = (columns + column_step - 1) / column_step;
#pragma omp parallel for schedule(dynamic) if (row_tasks * column_tasks > 1 && worth_threads(rows * columns * depth))
  for (int64_t task = 0; task < row_tasks * column_tasks; ++task) {
    const int64_t row = task / column_tasks * row_step, column = task % column_tasks * column_step;
    with_tiles(simd, right.dtype, [&](const auto& tiles, const auto& panels_of) {
      multiply_block(tiles, row, std::min(rows, row + row_step), column, std::min(columns, column + column_step), depth, pack_left, panels_of(right),
                     out, columns, finish);
    });
  }
}

}  // namespace pyracast::cpu
