#pragma once
// What the attention kernels are told.
#include "kernels/cuda/device_code.cuh"

namespace pyracast::cuda {

/// q, out [batch, queries, heads, size]; k, v [keys in a row, heads, size].
struct AttentionCall {
  const float *q, *k, *v;
  float* out;
  int64_t queries, heads, size;
  float scale;
  const float* bias;   // may be null; element (batch, head, query, key) lies at these strides
  int64_t bias_batch, bias_head, bias_query;
};

/// The batch entries of one launch and the keys of each; travels as a kernel's argument.
struct AttentionEntries {
  static constexpr int most_listed = 150;
  struct Entry {
    int64_t batch, first_key, keys;
  };
  int64_t keys_each;   // 0: as listed
  int64_t count;
  Entry listed[most_listed];

  constexpr Entry operator[](int64_t i) const { return keys_each ? Entry{i, i * keys_each, keys_each} : listed[i]; }
};

/// Which part of the attention a block computes.
struct AttentionPart {
  AttentionEntries::Entry entry;
  int64_t head, first_query;

  /// Block `index` of a grid of entries x heads x tiles of queries.
  static constexpr AttentionPart of(int64_t index, const AttentionCall& call, const AttentionEntries& entries, int tile) {
    const int64_t tiles = pieces_of(call.queries, tile);
    return {entries[index / (tiles * call.heads)], index / tiles % call.heads, index % tiles * tile};
  }
  /// Offsets of a row of q and out, of k and v, and of the bias.
  constexpr int64_t query(const AttentionCall& call, int64_t row) const {
    return ((entry.batch * call.queries + row) * call.heads + head) * call.size;
  }
  constexpr int64_t key(const AttentionCall& call, int64_t at) const {
    return ((entry.first_key + at) * call.heads + head) * call.size;
  }
  constexpr int64_t bias(const AttentionCall& call, int64_t row) const {
    return entry.batch * call.bias_batch + head * call.bias_head + row * call.bias_query;
  }
};

/// At most this many keys, in heads of at most this size, go to the kernel for short sequences.
inline constexpr int64_t short_keys = 64, short_size = 128;

void short_attention(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries);
void long_attention(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries);

}  // namespace pyracast::cuda
