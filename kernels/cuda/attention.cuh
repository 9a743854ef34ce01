#pragma once
// What the attention kernels are told.
#include <functional>

#include "kernels/cuda/launch.hpp"
#include "kernels/cuda/scratch.hpp"

namespace pyracast::cuda {

/// q, out [batch, queries, heads, size]; k, v [keys in a row, heads, size]. Of q, k and v, which may lie packed in one tensor, a
/// token's heads lie in a row and begin `_row` elements behind those of the token before.
template <class Element>
struct AttentionOf {
  const Element *q, *k, *v;
  Element* out;
  int64_t queries, heads, size;
  float scale;
  const float* bias;   // may be null; element (batch, head, query, key) lies at these strides
  int64_t bias_batch, bias_head, bias_query;
  int64_t q_row, k_row, v_row;
};
using AttentionCall = AttentionOf<float>;
using NarrowAttentionCall = AttentionOf<bfloat16>;

/// The batch entries of one launch and the keys of each; travels as a kernel's argument.
struct AttentionEntries {
  static constexpr int most_listed = 150;
  struct Entry {
    int64_t batch, first_key, keys;
  };
  int64_t keys_each;   // 0: as listed
  int64_t beside = 1;  // so many entries' tokens lie between each other's: token t of entry i is row first_row(i, all tokens) + t * beside
  int64_t count;
  Entry listed[most_listed];

  constexpr int64_t first_row(int64_t entry, int64_t tokens) const { return entry / beside * tokens * beside + entry % beside; }
  constexpr Entry operator[](int64_t i) const { return keys_each ? Entry{i, first_row(i, keys_each), keys_each} : listed[i]; }
};

/// Which part of the attention a block computes.
struct AttentionPart {
  AttentionEntries::Entry entry;
  int64_t head, first_query, first_row, beside;

  /// Block `index` of a grid of entries x heads x tiles of queries.
  template <class Call>
  static constexpr AttentionPart of(int64_t index, const Call& call, const AttentionEntries& entries, int tile) {
    const int64_t tiles = pieces_of(call.queries, tile);
    const AttentionEntries::Entry entry = entries[index / (tiles * call.heads)];
    return {entry, index / tiles % call.heads, index % tiles * tile, entries.first_row(entry.batch, call.queries), entries.beside};
  }
  /// Where the head's rows begin in q, k, v, out and the bias.
  template <class Call>
  constexpr int64_t query(const Call& call, int64_t row) const {
    return (first_row + row * beside) * call.q_row + head * call.size;
  }
  template <class Call>
  constexpr int64_t key(const Call& call, int64_t at) const {
    return (entry.first_key + at * beside) * call.k_row + head * call.size;
  }
  template <class Call>
  constexpr int64_t value(const Call& call, int64_t at) const {
    return (entry.first_key + at * beside) * call.v_row + head * call.size;
  }
  template <class Call>
  constexpr int64_t out(const Call& call, int64_t row) const {
    return ((first_row + row * beside) * call.heads + head) * call.size;
  }
  template <class Call>
  constexpr int64_t bias(const Call& call, int64_t row) const {
    return entry.batch * call.bias_batch + head * call.bias_head + row * call.bias_query;
  }
};

/// Sequences of at most this many keys, and float32 heads of at most this size, are what the kernels for short sequences are for.
inline constexpr int64_t short_keys = 64, short_size = 128;

void short_attention(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries);
void long_attention(cudaStream_t stream, const AttentionCall& call, const AttentionEntries& entries);

/// On the tensor cores: factors in bfloat16, sums in float32.
void tensor_core_attention(cudaStream_t stream, const NarrowAttentionCall& call, const AttentionEntries& entries);
/// Whether it serves this call: attention_on_tensor_cores(), and rows that are aligned to 16 bytes.
bool tensor_core_attention_takes(const NarrowAttentionCall& call, int64_t beside);

/// The keys of a batch's entries: `each` of them, of entries that lie `beside` each other; or those of `listed`, one an entry.
struct KeysOfEntries {
  int64_t each, beside = 1;
  std::span<const KeyRange> listed = {};
};
class LibraryAttention;
/// By the kernels that serve such calls, of which the library's, if there is one, serves long sequences of bfloat16 that lie one behind the
/// other. It plans for one number of keys, and text has many: lists of keys, as biases, are the own kernel's.
void attend(cudaStream_t stream, const AttentionCall& call, int64_t batch, const KeysOfEntries& keys, LibraryAttention* library);
void attend(cudaStream_t stream, const NarrowAttentionCall& call, int64_t batch, const KeysOfEntries& keys, LibraryAttention* library);

}  // namespace pyracast::cuda
