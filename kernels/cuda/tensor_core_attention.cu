// Attention on the tensor cores (after Dao, "FlashAttention-2", 2023): a warp takes 16 or 32 queries of one entry's head and goes
// through the keys a tile at a time, which the warps of its block share. Queries, scores, weights and sums stay in registers: what the
// product of queries and keys leaves in a lane's registers is what the product of weights and values wants there. Weights are powers
// of two relative to the largest score so far, as in long_attention.cu.
//
// A row of the result is summed in an order that the number of keys decides. Rows of 8 x 8 matrices in shared memory lie an odd multiple
// of 16 bytes apart, so that the 8 of a matrix meet no bank conflict.
#include <bit>
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
constexpr int tile_of(int octets, bool has_bias) { return has_bias || octets == 12 ? 32 : 64; }

/// Keys that take part in products: whole groups, of a tile at most.
constexpr int padded(int64_t keys, int tile) { return keys < tile ? int(pieces_of(keys, group)) * group : tile; }

/// The rows of a tile: `count` lie at x, `row` octets apart, and zeros follow up to `padded_count`; of `size` columns, and zeros follow.
struct Rows {
  const bfloat16* x;
  int row, count, padded_count, size;
};

/// Begins to copy columns 8 First to 8 (First + Width) - 1 to shared memory, neighbouring threads neighbouring columns.
template <int Octets, int First, int Width>
__device__ void begin_columns(const Rows& rows, bfloat16* to) {
  const int thread = thread_anew();   // registers are few: what follows from it does not stay in them from tile to tile
  const int column = (First + thread % Width) * octet, step = int(blockDim.x) / Width;
  int row = thread / Width;
  unsigned from = row * rows.row + column / octet;   // octets: 64 rows that lie far apart are reached by 32 bits
  to += row * row_stride(Octets) + column;
  for (; row < rows.padded_count; row += step) {
    begin_copy(to, rows.x + int64_t(from) * octet, row < rows.count && column < rows.size);
    from += step * rows.row;
    to += step * row_stride(Octets);
  }
}

/// All columns, in runs of as many octets as a power of two, so that a thread's column is the same in every row.
template <int Octets, int First = 0>
__device__ void begin_rows(const Rows& rows, bfloat16* to) {
  constexpr int width = int(std::bit_floor(unsigned(Octets - First)));
  begin_columns<Octets, First, width>(rows, to);
  if constexpr (First + width < Octets) begin_rows<Octets, First + width>(rows, to);
}

/// What a warp knows of its 16 Blocks queries. A lane holds elements of rows lane / 4 and lane / 4 + 8 of each block: index `half`.
template <int Octets, int Blocks, bool HasBias>
struct WarpOfQueries {
  static constexpr int tile = tile_of(Octets, HasBias), stride = row_stride(Octets);

  const NarrowAttentionCall& call;
  int there;            // queries behind the warp's first
  bfloat16* out;        // of its first query, as
  const float* bias;    // this
  uint32_t queries[Blocks][Octets][2];
  float largest[Blocks][2], total[Blocks][2];   // of total, the lane's share
  Sums sums[Blocks][Octets] = {};

  __device__ static int lane() { return threadIdx.x % warp_size; }
  /// The row that this lane names of the matrices at columns 0 and 8 of the 16 rows at x: the two above each other come first,
  __device__ static const bfloat16* downwards(const bfloat16* x) { return x + lane() % group * stride + lane() / group * octet; }
  /// or the two beside each other.
  __device__ static const bfloat16* across(const bfloat16* x) {
    return x + (lane() / group * octet + lane() % octet) * stride + lane() / octet % 2 * octet;
  }
  __device__ static int row(int block, int half) { return block * group + half * octet + lane() / 4; }

  __device__ WarpOfQueries(const NarrowAttentionCall& call, const AttentionPart& part) : call(call) {
    const int64_t first = part.first_query + int(threadIdx.x / warp_size) * Blocks * group;
    there = int(call.queries - first);
    out = call.out + part.out(call, first);
    bias = HasBias ? call.bias + part.bias(call, first) : nullptr;
    const bfloat16* const q = call.q + part.query(call, first) + lane() % 4 * 2;
    const int64_t row_apart = part.beside * call.q_row;
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
#pragma unroll
        for (int o = 0; o < Octets; ++o)
          queries[b][o][half] = row(b, half) < there && o * octet < call.size
                                    ? *reinterpret_cast<const uint32_t*>(q + row(b, half) * row_apart + o * octet) : 0;
        largest[b][half] = -INFINITY;
        total[b][half] = 0;
      }
  }

  /// scores += queries of 16 keys at k.
  __device__ void score(const bfloat16* k, int of_group, Sums (&scores)[Blocks][tile / octet]) const {
#pragma unroll
    for (int o = 0; o + 1 < Octets; o += 2) {
      uint32_t keys[4];
      load_matrices(keys, across(k) + o * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < 2; ++n)
          multiply_add(scores[b][2 * of_group + n], queries[b][o][0], queries[b][o][1], queries[b][o + 1][0], queries[b][o + 1][1],
                       keys[2 * n], keys[2 * n + 1]);
    }
    if constexpr (Octets % 2 == 1) {
      uint32_t keys[2];
      load_matrices(keys, downwards(k) + (Octets - 1) * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < 2; ++n)
          multiply_add(scores[b][2 * of_group + n], queries[b][Octets - 1][0], queries[b][Octets - 1][1], keys[n]);
    }
  }

  /// Scores in powers of two with their biases, which lie at `added` for the first query, and of which `count` a query are there.
  __device__ void add_bias(Sums (&scores)[Blocks][tile / octet], const float* added, int count) const {
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float* const of_row = added + row(b, half) * call.bias_query;
#pragma unroll
        for (int n = 0; n < tile / octet; ++n)
#pragma unroll
          for (int i = 0; i < 2; ++i) {
            const int key = n * octet + lane() % 4 * 2 + i;
            float& score = scores[b][n][2 * half + i];   // finite: a largest score of minus infinity could not be subtracted
            const float more = row(b, half) < there && key < count ? of_row[key] * log2_e : 0.f;
            score = fmaf(score, call.scale * log2_e, fmaxf(more, -FLT_MAX));
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
      load_transposed(values, downwards(v) + o * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < 2; ++n)
          multiply_add(sums[b][o + n], narrow[b][0], narrow[b][1], narrow[b][2], narrow[b][3], values[2 * n], values[2 * n + 1]);
    }
    if constexpr (Octets % 2 == 1) {
      uint32_t values[2];
      load_transposed(values, downwards(v) + (Octets - 1) * octet);
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
        multiply_add(sums[b][Octets - 1], narrow[b][0], narrow[b][1], narrow[b][2], narrow[b][3], values[0], values[1]);
    }
  }

  /// Attends to a tile of keys, a whole one or the last `count`.
  template <bool Whole>
  __device__ void attend(const bfloat16* k, const bfloat16* v, int count) {
    Sums scores[Blocks][tile / octet] = {};
#pragma unroll
    for (int g = 0; g < tile / group; ++g)
      if (Whole || g * group < count) score(k + g * group * stride, g, scores);
    if constexpr (HasBias) {
      add_bias(scores, bias, Whole ? tile : count);
      bias += tile;
    }
    if (!Whole)
#pragma unroll
      for (int b = 0; b < Blocks; ++b)
#pragma unroll
        for (int n = 0; n < tile / octet; ++n)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            if (n * octet + lane() % 4 * 2 + i % 2 >= count) scores[b][n][i] = -INFINITY;
    weigh(scores, HasBias ? 1.f : call.scale * log2_e);
#pragma unroll
    for (int g = 0; g < tile / group; ++g)
      if (Whole || g * group < count) add_values(scores, g, v + g * group * stride);
  }

  /// Results of a head's queries, so many elements apart.
  __device__ void store(int64_t apart) const {
    const int lane = thread_anew() % warp_size, size = int(call.size);   // as in begin_columns
#pragma unroll
    for (int b = 0; b < Blocks; ++b)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        float whole = total[b][half];
        for (int step = 1; step < 4; step *= 2) whole += __shfl_xor_sync(0xffffffffu, whole, step);
        const int row = b * group + half * octet + lane / 4;
        if (row >= there) continue;
        const float scale = 1 / whole;
        bfloat16* const of_row = out + row * apart;
#pragma unroll
        for (int o = 0; o < Octets; ++o)
          if (const int column = o * octet + lane % 4 * 2; column < size)
            *reinterpret_cast<uint32_t*>(of_row + column) = narrow_pair(sums[b][o][2 * half] * scale, sums[b][o][2 * half + 1] * scale);
      }
  }
};

template <int Octets, int Blocks, bool HasBias>
__global__ void __launch_bounds__(most_warps * warp_size, Blocks == 1 && Octets < 12 ? 3 : 2)
    tensor_core_attention_kernel(NarrowAttentionCall call, AttentionEntries entries) {
  constexpr int tile = tile_of(Octets, HasBias), stride = row_stride(Octets);
  const AttentionPart part = AttentionPart::of(blockIdx.x, call, entries, int(blockDim.x) / warp_size * Blocks * group);
  const int keys = int(part.entry.keys), size = int(call.size), rows = padded(keys, tile);   // of k or v in a stage
  const bfloat16 *k = call.k + part.key(call, 0), *v = call.v + part.value(call, 0);   // of the next tile
  const int k_row = int(part.beside * call.k_row / octet), v_row = int(part.beside * call.v_row / octet);   // octets: see Rows
  bfloat16* const stages = reinterpret_cast<bfloat16*>(shared_floats());   // two if there are two tiles; k, then v

  const auto begin_tile = [&](int count, int stage) {
    begin_rows<Octets>({k, k_row, count, padded(count, tile), size}, stages + stage);
    begin_rows<Octets>({v, v_row, count, padded(count, tile), size}, stages + stage + rows * stride);
    close_copies();
    k += int64_t(tile * octet) * k_row;
    v += int64_t(tile * octet) * v_row;
  };
  begin_tile(keys, 0);
  WarpOfQueries<Octets, Blocks, HasBias> warp(call, part);
  const int both_stages = 2 * rows * stride;
  int stage = 0, left = keys;
  for (; left >= tile; left -= tile, stage = both_stages - stage) {
    wait_for_copies<0>();
    __syncthreads();   // the tile is there, and nobody reads the one before any more
    if (left > tile) begin_tile(left - tile, both_stages - stage);
    warp.template attend<true>(stages + stage, stages + stage + rows * stride, tile);
  }
  if (left > 0) {
    wait_for_copies<0>();
    __syncthreads();
    warp.template attend<false>(stages + stage, stages + stage + rows * stride, left);
  }
  warp.store(part.beside * call.heads * call.size);
}

template <int Octets, int Blocks, bool HasBias>
void launch_warps(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries) {
  constexpr int tile = tile_of(Octets, HasBias);
  int64_t most_keys = entries.keys_each;
  for (int64_t i = 0; !entries.keys_each && i < entries.count; ++i) most_keys = std::max(most_keys, entries.listed[i].keys);
  const int stages = most_keys > tile ? 2 : 1;
  const size_t shared_bytes = size_t(stages * 2 * padded(most_keys, tile) * row_stride(Octets)) * sizeof(bfloat16);
  const int64_t warps = std::min<int64_t>(most_warps, pieces_of(call.queries, Blocks * group));
  launch(stream, "attention", entries.count * call.heads * pieces_of(call.queries, warps * Blocks * group), int(warps) * warp_size, shared_bytes,
         tensor_core_attention_kernel<Octets, Blocks, HasBias>, call, entries);
}

// Few queries are spread over more warps, which read the keys more often. Of long heads registers hold 16 queries only.
template <int Octets, bool HasBias>
void launch_queries(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries) {
  constexpr int most_blocks = Octets + (HasBias ? 1 : 0) > 12 ? 1 : 2;
  if (call.queries <= most_warps * group) launch_warps<Octets, 1, HasBias>(stream, call, entries);
  else launch_warps<Octets, most_blocks, HasBias>(stream, call, entries);
}

template <int Octets>
void launch_heads(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries) {
  if (call.bias) launch_queries<Octets, true>(stream, call, entries);
  else launch_queries<Octets, false>(stream, call, entries);
}

}  // namespace

bool tensor_core_attention_takes(const NarrowAttentionCall& call, int64_t beside) {
  const auto aligned = [](const bfloat16* x) { return reinterpret_cast<uintptr_t>(x) % 16 == 0; };
  const auto fits = [&](int64_t row) { return row % octet == 0 && row * beside < 1 << 27; };   // 64 rows are reached by octets of 32 bits
  return attention_on_tensor_cores(call.size, call.scale) && fits(call.q_row) && fits(call.k_row) && fits(call.v_row) && aligned(call.q) &&
         aligned(call.k) && aligned(call.v) && aligned(call.out);
}

void tensor_core_attention(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries) {
  require(tensor_core_attention_takes(call, entries.beside), "attention on tensor cores: heads have ", call.size, " channels and tokens lie ",
          entries.beside, " rows of ", call.q_row, ", ", call.k_row, " and ", call.v_row,
          " elements apart; the kernel takes aligned multiples of 8 up to "
          "128 channels, less than 2^27 elements apart, and a positive scale");
  if (call.size <= 32) launch_heads<4>(stream, call, entries);
  else if (call.size <= 64) launch_heads<8>(stream, call, entries);
  else if (call.size <= 72) launch_heads<9>(stream, call, entries);
  else if (call.size <= 96) launch_heads<12>(stream, call, entries);
  else launch_heads<16>(stream, call, entries);
}

}  // namespace pyracast::cuda
