// Attention over many keys: a block takes a tile of queries of one entry's head and goes through its keys a tile at a
// time. Weights are kept relative to the largest score so far, and what was summed is corrected when a larger one comes
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al., FlashAttention, 2022).
#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/device_code.cuh"

namespace pyracast::cuda {
namespace {

constexpr int side = 16;   // a block is 16 x 16 threads
constexpr int threads = side * side;
constexpr int warps = threads / warp_size;

/// Floats from one row to the next in shared memory: odd, so that rows begin in different banks.
constexpr int row_stride(int size) { return size | 1; }

/// Queries, then keys or values [tile][stride]; scores [tile][tile + 1]; of each row the largest score, the sum of
/// weights, and the factor by which a tile corrects what came before.
constexpr size_t shared_bytes(int tile, int size) {
  return size_t(2 * tile * row_stride(size) + tile * (tile + 1) + 3 * tile) * sizeof(float);
}

/// Rows first to first + Tile - 1 of `rows`, zeros behind the last; `offset(row)` says where a row begins in x.
template <int Tile, class Offset>
__device__ void load_tile(const float* x, int64_t first, int64_t rows, int size, Offset offset, float* tile) {
  for (int i = threadIdx.x; i < Tile * size; i += threads) {
    const int64_t row = first + i / size;
    tile[i / size * row_stride(size) + i % size] = row < rows ? x[offset(row) + i % size] : 0.f;
  }
}

/// Of a tile: the weights of its scores relative to each row's largest so far. A warp a row.
template <int Tile>
__device__ void weigh(float* scores, float* largest, float* total, float* correction) {
  const int lane = threadIdx.x % warp_size;
  for (int row = threadIdx.x / warp_size; row < Tile; row += warps) {
    float* const of_row = scores + row * (Tile + 1);
    float most = -INFINITY;
    for (int key = lane; key < Tile; key += warp_size) most = fmaxf(most, of_row[key]);
    const float before = largest[row], now = fmaxf(before, warp_max(most));
    float sum = 0;
    for (int key = lane; key < Tile; key += warp_size) {
      const float weight = of_row[key] == -INFINITY ? 0.f : expf(of_row[key] - now);
      of_row[key] = weight;
      sum += weight;
    }
    sum = warp_sum(sum);
    if (lane == 0) {
      const float factor = before == -INFINITY ? 0.f : expf(before - now);
      correction[row] = factor;
      total[row] = total[row] * factor + sum;
      largest[row] = now;
    }
    __syncwarp();
  }
}

// Thread (down, across) holds rows down + 16 i of the tile, keys across + 16 j of its scores and columns across + 16 c of
// its result; a head's size is at most 16 Columns.
template <int Tile, int Columns>
__global__ void __launch_bounds__(threads) long_attention_kernel(AttentionCall call, AttentionEntries entries) {
  constexpr int each = Tile / side;
  const AttentionPart part = AttentionPart::of(blockIdx.x, call, entries, Tile);
  const int size = int(call.size), stride = row_stride(size);
  const int64_t keys = part.entry.keys;
  const int across = threadIdx.x % side, down = threadIdx.x / side;
  float* const q = shared_floats();
  float* const k_or_v = q + Tile * stride;
  float* const scores = k_or_v + Tile * stride;
  float* const largest = scores + Tile * (Tile + 1);
  float* const total = largest + Tile;
  float* const correction = total + Tile;

  const auto query_offset = [&](int64_t row) { return part.query(call, row); };
  const auto key_offset = [&](int64_t key) { return part.key(call, key); };
  const auto value_offset = [&](int64_t key) { return part.value(call, key); };
  load_tile<Tile>(call.q, part.first_query, call.queries, size, query_offset, q);
  if (threadIdx.x < Tile) {
    largest[threadIdx.x] = -INFINITY;
    total[threadIdx.x] = 0;
  }

  float sums[each][Columns] = {};
  for (int64_t first_key = 0; first_key < keys; first_key += Tile) {
    load_tile<Tile>(call.k, first_key, keys, size, key_offset, k_or_v);
    __syncthreads();
    float products[each][each] = {};
    for (int d = 0; d < size; ++d) {
      float rows[each], columns[each];
#pragma unroll
      for (int i = 0; i < each; ++i) rows[i] = q[(down + i * side) * stride + d];
#pragma unroll
      for (int j = 0; j < each; ++j) columns[j] = k_or_v[(across + j * side) * stride + d];
#pragma unroll
      for (int i = 0; i < each; ++i)
#pragma unroll
        for (int j = 0; j < each; ++j) products[i][j] = fmaf(rows[i], columns[j], products[i][j]);
    }
#pragma unroll
    for (int i = 0; i < each; ++i)
#pragma unroll
      for (int j = 0; j < each; ++j) {
        const int64_t row = part.first_query + down + i * side, key = first_key + across + j * side;
        float score = products[i][j] * call.scale;
        if (call.bias && row < call.queries && key < keys) score += call.bias[part.bias(call, row) + key];
        scores[(down + i * side) * (Tile + 1) + across + j * side] = key < keys ? score : -INFINITY;
      }
    __syncthreads();   // all scores are there, and nobody reads keys any more
    load_tile<Tile>(call.v, first_key, keys, size, value_offset, k_or_v);
    weigh<Tile>(scores, largest, total, correction);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < each; ++i)
#pragma unroll
      for (int c = 0; c < Columns; ++c) sums[i][c] *= correction[down + i * side];
    for (int key = 0; key < Tile; ++key) {
      float weights[each];
#pragma unroll
      for (int i = 0; i < each; ++i) weights[i] = scores[(down + i * side) * (Tile + 1) + key];
#pragma unroll
      for (int c = 0; c < Columns; ++c) {
        const int column = across + c * side;
        if (column >= size) break;
        const float value = k_or_v[key * stride + column];
#pragma unroll
        for (int i = 0; i < each; ++i) sums[i][c] = fmaf(weights[i], value, sums[i][c]);
      }
    }
    __syncthreads();   // nobody overwrites values or weights that others still read
  }

#pragma unroll
  for (int i = 0; i < each; ++i) {
    const int64_t row = part.first_query + down + i * side;
    if (row >= call.queries) continue;
    const float scale = 1 / total[down + i * side];
#pragma unroll
    for (int c = 0; c < Columns; ++c)
      if (across + c * side < size) call.out[part.out(call, row) + across + c * side] = sums[i][c] * scale;
  }
}

template <int Tile, int Columns>
void launch_tiles(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries) {
  launch(stream, "attention", entries.count * call.heads * pieces_of(call.queries, Tile), threads,
         shared_bytes(Tile, int(call.size)), long_attention_kernel<Tile, Columns>, call, entries);
}

}  // namespace

void long_attention(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries) {
  require(call.size <= 512, "attention on a GPU: heads have ", call.size, " channels, and the kernel holds at most 512");
  if (call.size <= 32) launch_tiles<64, 2>(stream, call, entries);
  else if (call.size <= 64) launch_tiles<64, 4>(stream, call, entries);
  else if (call.size <= 80) launch_tiles<64, 5>(stream, call, entries);
  else if (call.size <= 128) launch_tiles<64, 8>(stream, call, entries);
  else if (call.size <= 256) launch_tiles<16, 16>(stream, call, entries);
  else launch_tiles<16, 32>(stream, call, entries);
}

}  // namespace pyracast::cuda
