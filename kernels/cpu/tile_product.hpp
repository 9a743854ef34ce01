#pragma once
// Products of weights in AMX's tiles (amx.hpp). A block of rows of the left factor lies rounded in the second-level cache and a part of a panel in
// the first; sums stay in tiles along that part, and in the caches until they are whole.
#include "kernels/cpu/matrix_product.hpp"

namespace pyracast::cpu {

/// Where row r of a block of rows rounded for AMX begins: [blocks][steps][32][32].
inline bfloat16* tile_row(bfloat16* left, int64_t steps, int64_t r) { return left + r / amx_block * steps * amx_step + amx_left_at(r % amx_block); }

/// Rounds `count` values of depth from k on of `rows` rows from `row` on.
inline void round_rows(const Amx& amx, const PackRows& x, int64_t row, int64_t rows, int64_t k, int64_t count, bfloat16* left) {
  for (int64_t r = 0; r < rows; ++r) amx.round_row(x.x + (row + r) * x.stride + k, count, tile_row(left, amx_steps(count), r));
}

/// The same of patches, which are rounded as they lie in memory where no step is of two taps.
template <class Patches>
void round_rows(const Amx& amx, const Patches& patches, int64_t row, int64_t rows, int64_t k, int64_t count, bfloat16* left) {
  const int64_t steps = amx_steps(count);
  if (patches.channels % amx_depth == 0) {
    for (int64_t r = 0; r < rows; ++r)
      patches.runs(row + r, k, count, [&](const float* from, int64_t at, int64_t length) {
        bfloat16* const to = tile_row(left, steps, r) + at / amx_depth * amx_step;
        if (from) amx.round_row(from, length, to);
        else
          for (int64_t step = 0; step < length / amx_depth; ++step) std::fill_n(to + step * amx_step, amx_depth, bfloat16());
      });
    return;
  }
  alignas(64) float values[tile_rows * left_stride];
  for (int64_t r = 0; r < rows; r += tile_rows)
    for (int64_t done = 0; done < count; done += depth_block) {
      const int64_t length = std::min(depth_block, count - done);
      if (!patches(row + r, k + done, length, values)) std::memset(values, 0, sizeof values);
      for (int64_t i = 0; i < std::min(tile_rows, rows - r); ++i)
        amx.round_row(values + i * left_stride, length, tile_row(left, steps, r + i) + done / amx_depth * amx_step);
    }
}

/// A panel of a right factor, and of its steps of depth those from here on.
inline const bfloat16* tile_panel(const PackedWeights& weights, int64_t column, int64_t step = 0) {
  return static_cast<const bfloat16*>(weights.data.get()) + (column / panel_columns * amx_steps(weights.depth) + step) * amx_step;
}

/// sums[block][32][32] = (accumulate ? sums : 0) + left[block][steps] * panel; finish(block, sums of it) sees each as soon as it is whole.
template <class Finish>
void multiply_panel(const Amx& amx, int64_t blocks, int64_t steps, const bfloat16* left, const bfloat16* panel, float* sums, bool accumulate,
                    Finish finish) {
  constexpr int64_t near_steps = 18, line = 32;   // elements of a line
  const int64_t asked = (amx_step / line + blocks - 1) / blocks;
  for (int64_t s = 0; s < steps; s += near_steps) {
    const int64_t part = std::min(near_steps, steps - s);
    const bfloat16* next = panel + (s + part) * amx_step;   // the panel's next part, or the next panel: each block asks for some of it
    for (int64_t b = 0; b < blocks; ++b, next += part * asked * line) {
      float* const of_block = sums + b * amx_block * panel_columns;
      amx.multiply(part, left + (b * steps + s) * amx_step, panel + s * amx_step, of_block, panel_columns, accumulate || s > 0, next, asked);
      if (s + part == steps) finish(b, of_block);
    }
  }
}

/// multiply() (product.hpp) of weights in tiles.
template <class PackLeft>
void multiply_in_tiles(const Simd& simd, int64_t rows, const PackedWeights& right, PackLeft pack_left, float* out, const Epilogue& finish) {
  constexpr int64_t row_step = 256, most_depth = 1152, most_columns = 1152;
  static_assert(row_step % amx_block == 0 && most_depth % depth_block == 0 && depth_block % amx_depth == 0 && most_columns % panel_columns == 0);
  const Amx& amx = *simd.amx;
  const int64_t columns = right.columns, depth = right.depth;
  const bool deep = depth > most_depth;   // sums of all columns of a task are kept while its left factor passes in parts
  const int64_t row_tasks = (rows + row_step - 1) / row_step, column_step = deep || row_tasks < 8 ? most_columns : rounded_up(columns, panel_columns);
  const int64_t column_tasks = (columns + column_step - 1) / column_step;
  const bool streams = past_caches(View{out, DType::float32, {rows, columns}});
#pragma omp parallel for schedule(dynamic) if (row_tasks * column_tasks > 1 && worth_threads(rows * columns * depth))
  for (int64_t task = 0; task < row_tasks * column_tasks; ++task) {
    auto* const left = room_of_thread<bfloat16, AmxTiles>(row_step * most_depth);
    auto* const all_sums = room_of_thread<float, AmxTiles>(row_step * most_columns);
    const AmxTiles tiles(amx);
    const int64_t row = task / column_tasks * row_step, count = std::min(row_step, rows - row), blocks = (count + amx_block - 1) / amx_block;
    const int64_t begin = task % column_tasks * column_step, end = std::min(columns, begin + column_step);
    for (int64_t k = 0; k < depth; k += most_depth) {
      const int64_t length = std::min(most_depth, depth - k);
      round_rows(amx, pack_left, row, count, k, length, left);
      for (int64_t n = begin; n < end; n += panel_columns)
        multiply_panel(amx, blocks, amx_steps(length), left, tile_panel(right, n, k / amx_depth), all_sums + (deep ? (n - begin) * row_step : 0),
                       k > 0, [&](int64_t b, float* sums) {
                         if (k + length < depth) return;
                         const int64_t r = b * amx_block;
                         finish(amx, row + r, n, std::min(amx_block, count - r), std::min(panel_columns, end - n), sums, out, streams);
                       });
    }
  }
}

}  // namespace pyracast::cpu
