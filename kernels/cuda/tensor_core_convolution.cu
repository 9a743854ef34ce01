// A convolution as a product on the tensor cores whose left factor, the matrix of patches, is nowhere written out (implicit GEMM; Chetlur
// et al., "cuDNN", arXiv 1410.0759): a block takes 256 output positions and some output channels, and goes through the depth 32 values
// at a time. What these are of each patch, four runs of 8 channels of an input pixel, is copied straight to shared memory, or zeros where
// a tap lies in the padding, three steps ahead of its use.
//
// A result is summed in an order that nothing but the depth decides. Rows of 8 x 8 matrices in shared memory lie an odd multiple of 16
// bytes apart, so that the 8 of a matrix meet no bank conflict.
#include "kernels/cuda/tensor_core_convolution.hpp"

#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/scratch.hpp"
#include "kernels/cuda/warp_matrices.cuh"

namespace pyracast::cuda {
namespace {

constexpr int octet = 8;            // values of a copy, and of a matrix's row
constexpr int group = 16;           // rows or columns that lie in two matrices
constexpr int positions_of_block = 256, warps = 8, threads = warps * warp_size;
constexpr int step_depth = 32, stages = 4, row_stride = step_depth + octet;
constexpr int octets = step_depth / octet;
constexpr int rows_apart = threads / octets;   // of those that a thread copies

template <class Out>
struct Product {
  Patches<bfloat16> patches;
  const bfloat16* weight;   // [columns, depth]
  const float* bias;        // or null
  const Out* residual;      // like out, or null
  Out* out;
  int columns;
};

/// What a thread copies of the block's patches: of every 32 values of depth the same octet, in every 64th row. An octet lies in one tap.
struct PatchCopies {
  static constexpr int rows = positions_of_block / rows_apart;
  const Patches<bfloat16>& patches;
  int pixel[rows];      // of x, where the first tap lies: one outside it, where that is padding
  uint32_t taps[rows];  // those outside the padding, a bit each
  int tap, channel;     // of the next octet

  __device__ PatchCopies(const Patches<bfloat16>& patches, int64_t first) : patches(patches) {
    const int k = int(threadIdx.x) % octets * octet;
    tap = k / patches.channels;
    channel = k % patches.channels;
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const auto row = patches.row(first + int(threadIdx.x) / octets + r * rows_apart);
      taps[r] = 0;
      pixel[r] = 0;
      if (!row.entry) continue;
      pixel[r] = int((row.entry - patches.x) / patches.channels) + pixels(row.at[0], row.at[1], row.at[2]);
      const auto inside = [&](int axis, int of_kernel) { return unsigned(row.at[axis] + of_kernel) < unsigned(patches.size[axis]); };
      int i = 0;
      for (int t = 0; t < patches.kernel[0]; ++t)
        for (int h = 0; h < patches.kernel[1]; ++h)
          for (int w = 0; w < patches.kernel[2]; ++w, ++i) taps[r] |= uint32_t(inside(0, t) && inside(1, h) && inside(2, w)) << i;
    }
  }
  __device__ int pixels(int t, int h, int w) const { return (t * patches.size[1] + h) * patches.size[2] + w; }

  /// Begins to copy the next step's; `deltas`: how many pixels each tap lies behind the first.
  __device__ void begin(const int* deltas, bfloat16* to) {
    to += int(threadIdx.x) / octets * row_stride + int(threadIdx.x) % octets * octet;
    const int delta = deltas[tap];
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      const bool there = taps[r] >> tap & 1;
      const bfloat16* const from = patches.x + (there ? int64_t(pixel[r] + delta) * patches.channels + channel : 0);
      begin_copy(to + r * rows_apart * row_stride, from, there);
    }
    for (channel += step_depth; channel >= patches.channels; channel -= patches.channels) ++tap;
  }
};

/// The same of the weights: rows are output channels, of which Columns make a tile.
template <int Columns>
struct WeightCopies {
  const bfloat16* const matrix;
  const int depth, there;   // there: output channels from this thread's first row on
  int k, row_begin;         // of the next octet; where its row begins

  __device__ WeightCopies(const bfloat16* weight, int depth, int columns, int first)
      : matrix(weight), depth(depth), there(columns - first - int(threadIdx.x) / octets), k(int(threadIdx.x) % octets * octet),
        row_begin((first + int(threadIdx.x) / octets) * depth) {}

  __device__ void begin(bfloat16* to) {
    to += int(threadIdx.x) / octets * row_stride + int(threadIdx.x) % octets * octet;
    if (Columns >= rows_apart || int(threadIdx.x) / octets < Columns) {
#pragma unroll
      for (int r = 0; r < Columns; r += rows_apart) {
        const bool exists = r < there && k < depth;
        begin_copy(to + r * row_stride, matrix + (exists ? row_begin + r * depth + k : 0), exists);
      }
    }
    k += step_depth;
  }
};

/// A warp's part of a tile: Rows x Columns sums.
template <int Rows, int Columns>
struct WarpOfSums {
  Sums sums[Rows / group][Columns / octet] = {};

  __device__ static int lane() { return int(threadIdx.x) % warp_size; }

  /// sums += what lies in shared memory: `left` patches, `right` weights, rows of step_depth each.
  __device__ void add(const bfloat16* left, const bfloat16* right) {
    left += lane() % group * row_stride + lane() / group * octet;                                 // two matrices down, then across
    right += (lane() / group * octet + lane() % octet) * row_stride + lane() / octet % 2 * octet;   // across, then down
#pragma unroll
    for (int k = 0; k < step_depth; k += group) {
      uint32_t patches[Rows / group][4];
#pragma unroll
      for (int m = 0; m < Rows / group; ++m) load_matrices(patches[m], left + m * group * row_stride + k);
#pragma unroll
      for (int n = 0; n < Columns / group; ++n) {
        uint32_t weights[4];
        load_matrices(weights, right + n * group * row_stride + k);
#pragma unroll
        for (int m = 0; m < Rows / group; ++m)
#pragma unroll
          for (int i = 0; i < 2; ++i)
            multiply_add(sums[m][2 * n + i], patches[m][0], patches[m][1], patches[m][2], patches[m][3], weights[2 * i], weights[2 * i + 1]);
      }
    }
  }

  /// The sums from row `first` and column `first_column` on, with their biases and residuals.
  template <class Out>
  __device__ void store(const Product<Out>& p, int64_t first, int first_column) const {
    first_column += lane() % 4 * 2;
#pragma unroll
    for (int m = 0; m < Rows / group; ++m)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t row = first + m * group + half * octet + lane() / 4;
        if (row >= p.patches.positions) continue;
        Out* const out = p.out + row * p.columns;
        const Out* const residual = p.residual ? p.residual + row * p.columns : nullptr;
#pragma unroll
        for (int n = 0; n < Columns / octet; ++n) {
          const int column = first_column + n * octet;
          const bool whole = p.columns % 2 == 0 && column < p.columns;
          Pack<Out, 2> pair{};   // what is added, then the result
          if (residual && whole) pair = load<2>(residual + column);
          else
            for (int i = 0; residual && i < 2 && column + i < p.columns; ++i) pair.of[i] = residual[column + i];
#pragma unroll
          for (int i = 0; i < 2; ++i)
            pair.of[i] = rounded<Out>(float(pair.of[i]) + (sums[m][n][2 * half + i] + (p.bias && column + i < p.columns ? p.bias[column + i] : 0.f)));
          if (whole) cuda::store(out + column, pair);
          else
            for (int i = 0; i < 2 && column + i < p.columns; ++i) out[column + i] = pair.of[i];
        }
      }
  }
};

template <int Columns, class Out>
__global__ void __launch_bounds__(threads, Columns == 128 ? 1 : 2) tensor_core_convolution_kernel(Product<Out> p) {
  constexpr int across = Columns == 128 ? 2 : 1, rows_of_warp = positions_of_block * across / warps, columns_of_warp = Columns / across;
  constexpr int stage_elements = (positions_of_block + Columns) * row_stride, weights_begin = positions_of_block * row_stride;
  __shared__ int deltas[warp_size];
  bfloat16* const shared = reinterpret_cast<bfloat16*>(shared_floats());

  const int column_tiles = pieces_of(p.columns, Columns), first_column = int(blockIdx.x) % column_tiles * Columns;
  const int64_t first = int64_t(int(blockIdx.x) / column_tiles) * positions_of_block;
  PatchCopies patches(p.patches, first);
  WeightCopies<Columns> weights(p.weight, p.patches.depth, p.columns, first_column);
  if (threadIdx.x < warp_size) {
    const auto tap = p.patches.tap(int(threadIdx.x) * p.patches.channels);
    deltas[threadIdx.x] = patches.pixels(tap.at[0], tap.at[1], tap.at[2]);
  }
  __syncthreads();

  const int steps = pieces_of(p.patches.depth, step_depth);
  const auto begin_step = [&](int step) {
    bfloat16* const stage = shared + step % stages * stage_elements;
    if (step < steps) {
      patches.begin(deltas, stage);
      weights.begin(stage + weights_begin);
    }
    close_copies();   // an empty group counts like another
  };
  for (int step = 0; step < stages - 1; ++step) begin_step(step);

  const int warp = int(threadIdx.x) / warp_size, row = warp / across * rows_of_warp, column = warp % across * columns_of_warp;
  const bool there = first + row < p.patches.positions && first_column + column < p.columns;
  WarpOfSums<rows_of_warp, columns_of_warp> sums;
  for (int step = 0; step < steps; ++step) {
    wait_for_copies<stages - 2>();
    __syncthreads();   // the step's are there, and nobody reads those of the step before any more
    begin_step(step + stages - 1);
    const bfloat16* const stage = shared + step % stages * stage_elements;
    if (there) sums.add(stage + row * row_stride, stage + weights_begin + column * row_stride);
  }
  if (there) sums.store(p, first + row, first_column + column);
}

template <int Columns, class Out>
void launch_tiles(cudaStream_t stream, const Product<Out>& product) {
  const int64_t blocks = pieces_of(product.patches.positions, positions_of_block) * pieces_of(product.columns, Columns);
  constexpr size_t shared_bytes = stages * (positions_of_block + Columns) * row_stride * sizeof(bfloat16);
  launch(stream, "convolution", blocks, threads, shared_bytes, tensor_core_convolution_kernel<Columns, Out>, product);
}

}  // namespace

void tensor_core_convolution(cudaStream_t stream, const Patches<bfloat16>& patches, const bfloat16* weight, const float* bias, const void* residual,
                             View out) {
  const int64_t pixels = out.shape[0] * patches.size[0] * patches.size[1] * patches.size[2], columns = out.shape[4];
  require(convolution_in_place(patches.channels, patches.depth / patches.channels) && reinterpret_cast<uintptr_t>(patches.x) % 16 == 0,
          "a convolution on tensor cores: ", patches.channels, " channels and ", patches.depth / patches.channels,
          " taps, and the kernel takes aligned multiples of 8 and at most ", most_taps_in_place);
  require(pixels <= INT_MAX / 2 && columns * patches.depth <= INT_MAX, "a convolution on a GPU: ", pixels,
          " pixels, of which the kernel counts ", INT_MAX / 2, ": decode fewer frames at a time");
  with_type(out.dtype, [&](auto type) {
    using Out = decltype(type);
    const Product<Out> product{patches, weight, bias, static_cast<const Out*>(residual), elements<Out>(out), int(columns)};
    if (columns <= 16) launch_tiles<16>(stream, product);
    else if (columns <= 64) launch_tiles<64>(stream, product);
    else launch_tiles<128>(stream, product);
  });
}

}  // namespace pyracast::cuda
