// Attention on the tensor cores (after Dao, "FlashAttention-2", 2023): a warp takes 16 or 32 queries of one entry's head and goes
// through the keys a tile at a time, which the warps of its block share. Queries, scores, weights and sums stay in registers: what the
// product of queries and keys leaves in a lane's registers is what the product of weights and values wants there. Weights are powers
// of two relative to the largest score so far, as in long_attention.cu.
//
// A row of the result is summed in an order that the number of keys decides. Rows of 8 x 8 matrices in shared memory lie an odd multiple
// of 16 bytes apart, so that the 8 of a matrix meet no bank conflict.
#include <cfloat>

#include "kernels/cuda/attention.cuh"
#include "kernels/cuda/warp_matrices.cuh"

namespace pyracast::cuda {
namespace {

constexpr int most_warps = 4;
constexpr int octet = 8;    // columns of a matrix, 16 bytes
constexpr int group = 16;   // keys or queries that lie in two matrices
constexpr float log2_e = 1.44269504088896341f;

constexpr int row_stride(int octets) { return octet * (octets | 1); }

/// Keys of a tile: as many as registers hold scores for. It decides the order of sums, and so is the same for every number of queries.
constexpr int tile_of(int octets) { return octets == 12 ? 32 : 64; }

/// Keys that take part in products: whole groups, of a tile at most.
constexpr int padded(int64_t keys, int tile) { return keys < tile ? int(pieces_of(keys, group)) * group : tile; }

/// Begins to copy the first `count` of rows at x, and zeros for the rest of `padded_count`, to shared memory. `size` columns are copied,
/// and zeros for the rest of Octets.
template <int Octets>
__device__ void begin_rows(const bfloat16* x, int64_t x_row, int64_t count, int padded_count, int size, bfloat16* to) {
  for (int i = threadIdx.x; i < padded_count * Octets; i += blockDim.x) {
    const int row = i / Octets, column = i % Octets * octet;
    const bool there = row < count && column < size;
    begin_copy(to + row * row_stride(Octets) + column, x + (there ? row * x_row + column : 0), there);
  }
}

/// What a warp knows of its 16 Blocks queries. A lane holds elements of rows lane / 4 and lane / 4 + 8 of each block: index `half`.
template <int Octets, int Blocks>
struct WarpOfQueries {
  static constexpr int tile = tile_of(Octets), stride = row_stride(Octets);

  const NarrowAttentionCall& call;
  const AttentionPart& part;
  int64_t first_query;
  uint32_t queries[Blocks][Octets][2];
  float largest[Blocks][2], total[Blocks][2];   // of total, the lane's share
  Sums sums[Blocks][Octets] = {};

  __device__ static int lane() { return threadIdx.x % warp_size; }
  /// Of the matrices that lie at columns 0 and 8 of the 16 rows at x, the row that this lane names: both of the first columns come first.
  __device__ static const bfloat16* named(const bfloat16* x) { return x + lane() % group * stride + lane() / group * octet; }
  __device__ int64_t row(int block, int half) const { return first_query + block * group + half * octet + lane() / 4; }

  __device__ WarpOfQueries(const NarrowAttentionCall& call, const AttentionPart& part)
      : call(call), part(part), first_query(part.first_query + int(threadIdx.x / warp_size) * Blocks * group) {
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t query = row(b, half);
        const bfloat16* const q = call.q + part.query(call, query) + lane() % 4 * 2;
#pragma unroll
        for (int o = 0; o < Octets; ++o)
          queries[b][o][half] = query < call.queries && o * octet < call.size ? *reinterpret_cast<const uint32_t*>(q + o * octet) : 0;
        largest[b][half] = -INFINITY;
        total[b][half] = 0;
      }
  }

  /// scores += queries of 16 keys at k.
  __device__ void score(const bfloat16* k, int of_group, Sums (&scores)[Blocks][tile / octet]) const {
#pragma unroll
    for (int o = 0; o + 1 < Octets; o += 2) {
      uint32_t keys[4];
      load_matrices(keys, named(k) + o * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < 2; ++n)
          multiply_add(scores[b][2 * of_group + n], queries[b][o][0], queries[b][o][1], queries[b][o + 1][0], queries[b][o + 1][1], keys[n],
                       keys[n + 2]);
    }
    if constexpr (Octets % 2 == 1) {
      uint32_t keys[2];
      load_matrices(keys, named(k) + (Octets - 1) * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < 2; ++n)
          multiply_add(scores[b][2 * of_group + n], queries[b][Octets - 1][0], queries[b][Octets - 1][1], keys[n]);
    }
  }

  /// Scores in powers of two with their biases, of keys `first` and on, of which `count` are there.
  __device__ void add_bias(Sums (&scores)[Blocks][tile / octet], int64_t first, int count) const {
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int64_t query = row(b, half);
        const float* const bias = call.bias + part.bias(call, query) + first + lane() % 4 * 2;
#pragma unroll
        for (int n = 0; n < tile / octet; ++n)
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const bool there = query < call.queries && n * octet + lane() % 4 * 2 + i < count;
            float& score = scores[b][n][2 * half + i];   // finite: a largest score of minus infinity could not be subtracted
            score = fmaf(score, call.scale * log2_e, fmaxf(there ? bias[n * octet + i] * log2_e : 0.f, -FLT_MAX));
          }
      }
  }

  /// Scores, times `scale`, become weights; what was summed before is corrected.
  __device__ void weigh(Sums (&scores)[Blocks][tile / octet], float scale) {
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float most = largest[b][half];
#pragma unroll
        for (int n = 0; n < tile / octet; ++n) most = fmaxf(most, fmaxf(scores[b][n][2 * half], scores[b][n][2 * half + 1]));
        for (int step = 1; step < 4; step *= 2) most = fmaxf(most, __shfl_xor_sync(0xffffffffu, most, step));
        const float correction = power_of_two((largest[b][half] - most) * scale), offset = -most * scale;
        largest[b][half] = most;
        float sum = 0;
#pragma unroll
        for (int n = 0; n < tile / octet; ++n)
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; ++i) sum += scores[b][n][i] = power_of_two(fmaf(scores[b][n][i], scale, offset));
        total[b][half] = fmaf(total[b][half], correction, sum);
#pragma unroll
        for (int o = 0; o < Octets; ++o) {
          sums[b][o][2 * half] *= correction;
          sums[b][o][2 * half + 1] *= correction;
        }
      }
  }

  /// sums += weights of 16 keys times their values at v.
  __device__ void add_values(const Sums (&weights)[Blocks][tile / octet], int of_group, const bfloat16* v) {
    uint32_t narrow[Blocks][4];
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const Sums& pairs = weights[b][2 * of_group + i / 2];
        narrow[b][i] = narrow_pair(pairs[i % 2 * 2], pairs[i % 2 * 2 + 1]);
      }
#pragma unroll
    for (int o = 0; o + 1 < Octets; o += 2) {
      uint32_t values[4];
      load_transposed(values, named(v) + o * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < 2; ++n)
          multiply_add(sums[b][o + n], narrow[b][0], narrow[b][1], narrow[b][2], narrow[b][3], values[2 * n], values[2 * n + 1]);
    }
    if constexpr (Octets % 2 == 1) {
      uint32_t values[2];
      load_transposed(values, named(v) + (Octets - 1) * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
        multiply_add(sums[b][Octets - 1], narrow[b][0], narrow[b][1], narrow[b][2], narrow[b][3], values[0], values[1]);
    }
  }

  /// Attends to a tile of keys, which begins with key `first`: a whole one, or the last `count`.
  template <bool Whole>
  __device__ void attend(const bfloat16* k, const bfloat16* v, int64_t first, int count) {
    Sums scores[Blocks][tile / octet] = {};
#pragma unroll
    for (int g = 0; g < tile / group; ++g)
      if (Whole || g * group < count) score(k + g * group * stride, g, scores);
    if (call.bias) add_bias(scores, first, count);
    if (!Whole)
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < tile / octet; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            if (n * octet + lane() % 4 * 2 + i % 2 >= count) scores[b][n][i] = -INFINITY;
    weigh(scores, call.bias ? 1.f : call.scale * log2_e);
#pragma unroll
    for (int g = 0; g < tile / group; ++g)
      if (Whole || g * group < count) add_values(scores, g, v + g * group * stride);
  }

  __device__ void store() const {
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float whole = total[b][half];
        for (int step = 1; step < 4; step *= 2) whole += __shfl_xor_sync(0xffffffffu, whole, step);
        const int64_t query = row(b, half);
        if (query >= call.queries) continue;
        bfloat16* const out = call.out + part.out(call, query) + lane() % 4 * 2;
#pragma unroll
        for (int o = 0; o < Octets; ++o)
          if (o * octet < call.size)
            *reinterpret_cast<uint32_t*>(out + o * octet) = narrow_pair(sums[b][o][2 * half] / whole, sums[b][o][2 * half + 1] / whole);
      }
  }
};

template <int Octets, int Blocks>
__global__ void __launch_bounds__(most_warps * warp_size) tensor_core_attention_kernel(NarrowAttentionCall call, AttentionEntries entries) {
  constexpr int tile = tile_of(Octets), stride = row_stride(Octets);
  const AttentionPart part = AttentionPart::of(blockIdx.x, call, entries, int(blockDim.x) / warp_size * Blocks * group);
  const int64_t keys = part.entry.keys;
  const int size = int(call.size), rows = padded(keys, tile);   // of k or v in a stage; there are two stages if there are two tiles
  bfloat16* const stages = reinterpret_cast<bfloat16*>(shared_floats());

  const auto begin_tile = [&](int64_t first, bfloat16* stage) {
    const int64_t count = keys - first;
    begin_rows<Octets>(call.k + part.key(call, first), call.k_row, count, padded(count, tile), size, stage);
    begin_rows<Octets>(call.v + part.value(call, first), call.v_row, count, padded(count, tile), size, stage + rows * stride);
    close_copies();
  };
  begin_tile(0, stages);
  WarpOfQueries<Octets, Blocks> warp(call, part);
  int which = 0;
  for (int64_t first = 0; first < keys; first += tile, which ^= 1) {
    const bfloat16* const k = stages + which * 2 * rows * stride;
    const bfloat16* const v = k + rows * stride;
    wait_for_copies<0>();
    __syncthreads();   // the tile is there, and nobody reads the one before any more
    const int64_t next = first + tile;
    if (next < keys) begin_tile(next, stages + (which ^ 1) * 2 * rows * stride);
    if (next <= keys) warp.template attend<true>(k, v, first, tile);
    else warp.template attend<false>(k, v, first, int(keys - first));
  }
  warp.store();
}

template <int Octets, int Blocks>
void launch_warps(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries) {
  constexpr int tile = tile_of(Octets);
  int64_t most_keys = entries.keys_each;
  for (int64_t i = 0; !entries.keys_each && i < entries.count; ++i) most_keys = std::max(most_keys, entries.listed[i].keys);
  const int stages = most_keys > tile ? 2 : 1;
  const size_t shared_bytes = size_t(stages * 2 * padded(most_keys, tile) * row_stride(Octets)) * sizeof(bfloat16);
  const int64_t warps = std::min<int64_t>(most_warps, pieces_of(call.queries, Blocks * group));
  launch(stream, "attention", entries.count * call.heads * pieces_of(call.queries, warps * Blocks * group), int(warps) * warp_size, shared_bytes,
         tensor_core_attention_kernel<Octets, Blocks>, call, entries);
}

// Few queries are spread over more warps, which read the keys more often. Of a size that gives 16 octets registers hold 16 queries only.
template <int Octets>
void launch_heads(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries) {
  constexpr int most_blocks = Octets > 12 ? 1 : 2;
  if (call.queries <= most_warps * group) launch_warps<Octets, 1>(stream, call, entries);
  else launch_warps<Octets, most_blocks>(stream, call, entries);
}

}  // namespace

bool tensor_core_attention_takes(const NarrowAttentionCall& call) {
  const auto aligned = [](const bfloat16* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; };
  return call.size <= 128 && call.size % octet == 0 && call.q_row % octet == 0 && call.k_row % octet == 0 && call.v_row % octet == 0 &&
         aligned(call.q) && aligned(call.k) && aligned(call.v) && aligned(call.out);
}

void tensor_core_attention(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries) {
  require(tensor_core_attention_takes(call) && call.scale > 0, "attention on tensor cores: heads have ", call.size,
          " channels, and the kernel takes aligned multiples of 8 up to 128 with a positive scale");
  if (call.size <= 32) launch_heads<4>(stream, call, entries);
  else if (call.size <= 64) launch_heads<8>(stream, call, entries);
  else if (call.size <= 72) launch_heads<9>(stream, call, entries);
  else if (call.size <= 80) launch_heads<10>(stream, call, entries);
  else if (call.size <= 96) launch_heads<12>(stream, call, entries);
  else launch_heads<16>(stream, call, entries);
}

}  // namespace pyracast::cuda
