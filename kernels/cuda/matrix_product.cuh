#pragma once
// One tiled matrix product in float32 serves linears and convolutions. Along the depth every output element is one chain
// of fused multiply-adds in rising order, whatever the tile: rows are independent, and the sums have the CPU's bits.
#include "kernels/cuda/device_code.cuh"

namespace pyracast::cuda {

inline constexpr int product_side = 16;                             // a block is 16 x 16 threads
inline constexpr int product_threads = product_side * product_side;
inline constexpr int depth_step = 16;                               // of a tile; a thread loads one k of it

/// A factor's rows, read from a row-major matrix [rows, depth]. A factor gives where a row begins, what k means, and the
/// element there: 0 beyond the last row or the depth.
struct MatrixRows {
  const float* x;
  int64_t rows, depth;

  constexpr const float* row(int64_t r) const { return r < rows ? x + r * depth : nullptr; }
  constexpr int tap(int k) const { return k; }
  constexpr float operator()(const float* row, int64_t k) const { return row && k < depth ? row[k] : 0.f; }
};

/// out[rows, columns] = residual + activation(left right^T + bias); bias and residual, like out, may be null.
struct ProductEnd {
  const float* bias;
  Activation activation;
  float* out;
  int64_t rows, columns;
  const float* residual;
};

// A block computes a tile of Tile x Tile elements, a thread Each x Each of them: rows lie together, columns 16 apart, so
// that a warp's reads of shared memory meet no bank twice and its writes are neighbours.
template <int Tile, class Left>
__global__ void __launch_bounds__(product_threads)
product_kernel(Left left, MatrixRows right, int64_t depth, ProductEnd end) {
  constexpr int each = Tile / product_side;
  alignas(16) __shared__ float a[depth_step][Tile + 4];
  alignas(16) __shared__ float b[depth_step][Tile + 4];
  const int64_t column_tiles = pieces_of(end.columns, Tile);
  const int64_t first_row = blockIdx.x / column_tiles * Tile, first_column = blockIdx.x % column_tiles * Tile;
  const int across = threadIdx.x % product_side, down = threadIdx.x / product_side;

  decltype(left.row(0)) left_rows[each];
  const float* right_rows[each];
#pragma unroll
  for (int i = 0; i < each; ++i) {
    left_rows[i] = left.row(first_row + down + i * product_side);
    right_rows[i] = right.row(first_column + down + i * product_side);
  }

  float sums[each][each] = {};
  for (int64_t k = 0; k < depth; k += depth_step) {
    const auto left_tap = left.tap(int(k) + across);
#pragma unroll
    for (int i = 0; i < each; ++i) {
      a[across][down + i * product_side] = left(left_rows[i], left_tap);
      b[across][down + i * product_side] = right(right_rows[i], k + across);
    }
    __syncthreads();
#pragma unroll
    for (int step = 0; step < depth_step; ++step) {
      float rows[each], columns[each];
#pragma unroll
      for (int i = 0; i < each; ++i) rows[i] = a[step][down * each + i];
#pragma unroll
      for (int j = 0; j < each; ++j) columns[j] = b[step][across + j * product_side];
#pragma unroll
      for (int i = 0; i < each; ++i)
#pragma unroll
        for (int j = 0; j < each; ++j) sums[i][j] = fmaf(rows[i], columns[j], sums[i][j]);
    }
    __syncthreads();   // nobody overwrites what others still read
  }

  // Unrolled: an index that is not known when compiling would move the sums from registers to memory.
#pragma unroll
  for (int i = 0; i < each; ++i)
#pragma unroll
    for (int j = 0; j < each; ++j) {
      const int64_t row = first_row + down * each + i, column = first_column + across + j * product_side;
      if (row >= end.rows || column >= end.columns) continue;
      const float sum = end.bias ? sums[i][j] + end.bias[column] : sums[i][j];
      const int64_t at = row * end.columns + column;
      const float ended = activated(end.activation, sum);
      end.out[at] = end.residual ? end.residual[at] + ended : ended;
    }
}

/// The largest tile that still gives every multiprocessor a block; the result's bits do not depend on it.
constexpr int product_tile(int64_t rows, int64_t columns, int multiprocessors) {
  for (const int tile : {128, 64})
    if (pieces_of(rows, tile) * pieces_of(columns, tile) >= multiprocessors) return tile;
  return 32;
}

template <class Left>
void multiply(cudaStream_t stream, const char* what, const Left& left, const MatrixRows& right, const ProductEnd& end,
              int multiprocessors) {
  const int tile = product_tile(end.rows, end.columns, multiprocessors);
  const int64_t blocks = pieces_of(end.rows, tile) * pieces_of(end.columns, tile);
  launch(stream, what, blocks, product_threads, 0,
         tile == 128  ? product_kernel<128, Left>
         : tile == 64 ? product_kernel<64, Left>
                      : product_kernel<32, Left>,
         left, right, right.depth, end);
}

}  // namespace pyracast::cuda
