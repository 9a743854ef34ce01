// For each batch entry and head: keys and values are packed once as the right factors of two matrix products; a few
// query rows at a time then go through scores, softmax and values while the scores stay in the cache.
#include <omp.h>

#include "kernels/cpu/matrix_product.hpp"

namespace pyracast {

namespace {

using cpu::panel_columns;

/// Tokens of one head, `stride` floats apart; those of the next head lie `apart` on.
struct Tokens {
  const float* x;
  int64_t count, stride, apart;
  bool as_tiles = false;   ///< left_stride apart, of one block of depth, with room for whole tiles of rows
  const float* operator[](int64_t i) const { return x + i * stride; }
  Tokens of_head(int64_t h) const { return {x + h * apart, count, stride, apart, as_tiles}; }
};

/// Scratch of one thread, kept between calls.
struct Scratch {
  cpu::CacheLines<float> keys, values, scores, mixed, q, k;
  cpu::CacheLines<float> zeros;   // nothing is written there
  cpu::CacheLines<bfloat16> narrow_keys, narrow_values, narrow_queries, narrow_weights;
};

/// Four values; every processor has these.
typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));

/// out[d * panel_columns + n] = keys[n][d] for four keys and four d.
void transpose_four(const float* const (&keys)[4], int64_t d, float* out) {
  Four row[4];
  for (int n = 0; n < 4; ++n) row[n] = *reinterpret_cast<const Four*>(keys[n] + d);
  typedef int Order __attribute__((vector_size(16)));
  const Four a = __builtin_shuffle(row[0], row[1], Order{0, 4, 1, 5}), b = __builtin_shuffle(row[0], row[1], Order{2, 6, 3, 7});
  const Four c = __builtin_shuffle(row[2], row[3], Order{0, 4, 1, 5}), e = __builtin_shuffle(row[2], row[3], Order{2, 6, 3, 7});
  const Four columns[4] = {__builtin_shuffle(a, c, Order{0, 1, 4, 5}), __builtin_shuffle(a, c, Order{2, 3, 6, 7}),
                           __builtin_shuffle(b, e, Order{0, 1, 4, 5}), __builtin_shuffle(b, e, Order{2, 3, 6, 7})};
  for (int i = 0; i < 4; ++i) *reinterpret_cast<Four*>(out + (d + i) * panel_columns) = columns[i];
}

/// Panels of the keys' transpose [size][keys], with zeros behind the last key as far as a tile reads: whole vectors of at most 16.
void pack_keys(const Tokens& keys, int64_t size, const float* zeros, float* panels) {
  for (int64_t first = 0; first < keys.count; first += panel_columns, panels += size * panel_columns) {
    const int64_t count = std::min(panel_columns, keys.count - first);
    for (int64_t n = 0; n < cpu::rounded_up(count, 16); n += 4) {
      const float* four[4];
      for (int i = 0; i < 4; ++i) four[i] = n + i < count ? keys[first + n + i] : zeros;
      int64_t d = 0;
      for (; d + 4 <= size; d += 4) transpose_four(four, d, panels + n);
      for (; d < size; ++d)
        for (int i = 0; i < 4; ++i) panels[d * panel_columns + n + i] = four[i][d];
    }
  }
}

/// Panels of the values [keys][size], with zeros behind.
void pack_values(const Tokens& values, int64_t size, float* panels) {
  const int64_t panel = values.count * panel_columns, whole = size / panel_columns * panel_columns;
  if (whole < size) std::memset(panels + whole * values.count, 0, size_t(panel) * 4);
  for (int64_t key = 0; key < values.count; ++key) {
    const float* const from = values[key];
    float* to = panels + key * panel_columns;
    int64_t n = 0;
    for (; n < whole; n += panel_columns, to += panel) std::memcpy(to, from + n, panel_columns * 4);   // of a size that the compiler knows
    for (; n + 4 <= size; n += 4, to += 4) *reinterpret_cast<Four*>(to) = *reinterpret_cast<const Four*>(from + n);
    for (; n < size; ++n, ++to) *to = from[n];
  }
}

/// Heads that go together, whose outputs lie beside each other.
struct Heads {
  int64_t count, size;
};

/// Rows of floats in far memory that are wanted next: the second-level cache is asked for them a part at a time, beside what is computed.
struct Ahead {
  const float* x = nullptr;
  int64_t rows = 0, stride = 0, floats = 0;
  /// Inline: g++ leaves out calls of what only prefetches.
  [[gnu::always_inline]] void ask(int64_t part, int64_t parts) const {
    const int64_t lines = cpu::rounded_up(floats, 16) / 16;   // of each row
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t i = lines * part / parts; i < lines * (part + 1) / parts; ++i) __builtin_prefetch(x + row * stride + i * 16, 0, 2);
  }
};

/// What is added to the scores of a head's query: rows so far apart, or null.
struct BiasRows {
  const float* values = nullptr;
  int64_t stride = 0, head_stride = 0;
  const float* at(int64_t head, int64_t query) const { return values ? values + head * head_stride + query * stride : nullptr; }
};

/// out = left * right for rows of the left factor, `stride` apart. `as_tiles`: they are left_stride apart and have room for whole tiles.
void multiply_near(const cpu::Simd& simd, const float* left, int64_t stride, bool as_tiles, int64_t rows, const cpu::NearPanels& right,
                   int64_t columns, float* out, int64_t out_stride) {
  const auto nothing = [](auto...) {};
  const auto multiply = [&](const auto& tiles, const auto& pack_left) {
    cpu::multiply_block<cpu::Room::whole_tiles>(tiles, 0, rows, 0, columns, right.depth, pack_left, right, out, out_stride, nothing);
  };
  if (as_tiles) multiply(cpu::NearTiles{simd, left}, nullptr);
  else multiply(cpu::FloatTiles{simd}, cpu::PackRows{left, rows, stride});
}

/// attend() on AMX: both products are of factors rounded to bfloat16, the exponentials too, whose sum divides what is left of them. A few rows of all
/// heads go together, so that memory is read and written in its own order.
void attend_in_tiles(const cpu::Simd& simd, const Heads& heads, const Tokens& q, const Tokens& k, const Tokens& v, float scale, const BiasRows& bias,
                     float* out, int64_t out_stride, bool streams, Scratch& scratch) {
  using namespace cpu;
  const Amx& amx = *simd.amx;
  const AmxTiles configured(amx);
  const int64_t size = heads.size;
  const int64_t keys = k.count, key_panels = rounded_up(keys, panel_columns) / panel_columns;
  const int64_t value_panels = rounded_up(size, panel_columns) / panel_columns;
  const int64_t size_steps = amx_steps(size), key_steps = amx_steps(keys), panels = key_panels * size_steps * amx_step;   // elements of one head's
  const int64_t score_stride = key_panels * panel_columns + 16, mixed_stride = value_panels * panel_columns;   // not a multiple of 4 KiB
  static_assert(panel_columns == amx_depth);   // so that values take as much as keys
  bfloat16* const all_keys = scratch.narrow_keys.room(heads.count * panels);
  bfloat16* const all_values = scratch.narrow_values.room(heads.count * panels);
  bfloat16* const queries = scratch.narrow_queries.room(heads.count * size_steps * amx_step);
  bfloat16* const weights = scratch.narrow_weights.room(key_steps * amx_step);
  float* const scores = scratch.scores.room(amx_block * score_stride);
  float* const mixed = scratch.mixed.room(amx_block * (mixed_stride + heads.count * size));
  float* const of_heads = mixed + amx_block * mixed_stride;
  for (int64_t h = 0; h < heads.count; ++h) {
    const float *of_keys = k[0] + h * k.apart, *of_values = v[0] + h * v.apart;
    for (int64_t p = 0; p < key_panels; ++p)
      amx.round_columns(of_keys + p * panel_columns * k.stride, k.stride, std::min(panel_columns, keys - p * panel_columns), size,
                        all_keys + h * panels + p * size_steps * amx_step);
    for (int64_t p = 0; p < value_panels; ++p)
      amx.round_depths(of_values + p * panel_columns, v.stride, std::min(panel_columns, size - p * panel_columns), keys,
                       all_values + h * panels + p * key_steps * amx_step);
  }
  const int64_t width = heads.count * size, of_query = size_steps * amx_step;
  for (int64_t row = 0; row < q.count; row += amx_block) {
    const int64_t rows = std::min(amx_block, q.count - row);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t h = 0; h < heads.count; ++h) {
        const float* from = q[row + r] + h * q.apart;
        amx.round_row(from, size, queries + h * of_query + amx_left_at(r));
        if (row + amx_block + r < q.count)   // far memory is asked for a block ahead
          for (int64_t i = 0; i < size; i += 16) __builtin_prefetch(from + amx_block * q.stride + i, 0, 2);
      }
    for (int64_t h = 0; h < heads.count; ++h) {
      for (int64_t p = 0; p < key_panels; ++p)
        amx.multiply(size_steps, queries + h * of_query, all_keys + h * panels + p * size_steps * amx_step, scores + p * panel_columns, score_stride,
                     false, nullptr, 0);
      float factors[amx_block];
      for (int64_t r = 0; r < rows; ++r)
        factors[r] = amx.exponentials(scores + r * score_stride, keys, scale, bias.at(h, row + r), weights + amx_left_at(r));
      for (int64_t p = 0; p < value_panels; ++p)
        amx.multiply(key_steps, weights, all_values + h * panels + p * key_steps * amx_step, mixed + p * panel_columns, mixed_stride, false,
                     nullptr, 0);
      for (int64_t r = 0; r < rows; ++r) amx.store_scaled(mixed + r * mixed_stride, size, factors[r], of_heads + r * width + h * size);
    }
    simd.copy(of_heads, width, rows, width, out + row * out_stride, out_stride, streams);
  }
}

/// Attention of heads to `out`. `past_caches`: that may be written past the caches. Of several heads there is one block of rows of queries.
void attend(const cpu::Simd& simd, const Heads& heads, const Tokens& q, const Tokens& k, const Tokens& v, float scale, const BiasRows& bias,
            float* out, int64_t out_stride, bool past_caches, const Ahead& ahead, Scratch& scratch) {
  const int64_t size = heads.size, width = heads.count * size, keys = k.count;
  const bool streams = past_caches && width % 16 == 0 && out_stride % 16 == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
  if (simd.amx) return attend_in_tiles(simd, heads, q, k, v, scale, bias, out, out_stride, streams, scratch);
  const bool few = keys <= cpu::depth_block;
  const int64_t score_stride = few ? cpu::left_stride : cpu::rounded_up(keys, panel_columns);
  const int64_t mixed_stride = cpu::rounded_up(width, 16) + 16;   // a tile writes whole vectors
  const int64_t block = cpu::rounded_up(std::min(cpu::row_block, q.count), cpu::tile_rows);
  float* const key_panels = scratch.keys.room(cpu::packed_size(keys, size));
  float* const value_panels = scratch.values.room(cpu::packed_size(size, keys));
  float* const scores = scratch.scores.room(block * score_stride);
  float* const mixed = scratch.mixed.room(block * mixed_stride);
  for (int64_t row = 0; row < q.count; row += block) {
    const int64_t rows = std::min(block, q.count - row);
    for (int64_t h = 0; h < heads.count; ++h) {
      if (row == 0 || heads.count > 1) {
        pack_keys(k.of_head(h), size, scratch.zeros.room(size), key_panels);
        pack_values(v.of_head(h), size, value_panels);
      }
      ahead.ask(2 * h, 2 * heads.count);
      multiply_near(simd, q.of_head(h)[row], q.stride, q.as_tiles, rows, {key_panels, size}, keys, scores, score_stride);
      simd.softmax(scores, score_stride, rows, keys, scale, bias.at(h, row), bias.stride);
      ahead.ask(2 * h + 1, 2 * heads.count);
      multiply_near(simd, scores, score_stride, few, rows, {value_panels, keys}, size, mixed + h * size, mixed_stride);
    }
    simd.copy(mixed, mixed_stride, rows, width, out + row * out_stride, out_stride, streams);
  }
}

/// Whether out [batch, tokens…, heads, size] is written past the caches, whole tokens at a time.
bool past_caches(View out) {
  const int64_t token = out.shape[out.shape.size() - 2] * out.shape.back();
  return cpu::past_caches({out.data, out.dtype, {out.size() / token, token}});
}

/// Heads of a long sequence that go together, where all threads have some nevertheless.
int64_t heads_together(const cpu::Simd& simd, int64_t batch, int64_t heads) {
  return simd.amx && heads % 4 == 0 && batch * heads / 4 >= 2 * omp_get_max_threads() ? 4 : 1;
}

}  // namespace

void CpuBackend::attention(View q, View k, View v, float scale, const AttentionBias* bias,
                           std::span<const KeyRange> keys_of, View out) {
  const int64_t batch = q.shape[0], queries = q.shape[1], heads = q.shape[2], size = q.shape[3];
  const int64_t token = heads * size, group = heads_together(simd_, batch, heads);
#pragma omp parallel for schedule(dynamic, 4 / group) if (batch * heads > group && worth_threads(2 * out.size() * k.shape[1]))
  for (int64_t task = 0; task < batch * heads / group; ++task) {
    thread_local static Scratch scratch;
    const int64_t b = task * group / heads, h = task * group % heads;
    const KeyRange range = keys_of.empty() ? KeyRange{b * k.shape[1], (b + 1) * k.shape[1]} : keys_of[size_t(b)];
    const int64_t keys = range.end - range.begin, first_key = range.begin * token + h * size;
    const int64_t first_query = b * queries * token + h * size;
    const Tokens of_q{cpu::floats(q) + first_query, queries, token, size}, of_k{cpu::floats(k) + first_key, keys, token, size},
        of_v{cpu::floats(v) + first_key, keys, token, size};
    BiasRows added;
    if (bias) added = {cpu::floats(bias->values) + b * bias->batch_stride + h * bias->head_stride, bias->query_stride, bias->head_stride};
    attend(simd_, {group, size}, of_q, of_k, of_v, scale, added, cpu::floats(out) + first_query, token, past_caches(out), {}, scratch);
  }
}

// Queries and keys of a task's heads are normalised and rotated to scratch. Of short sequences all heads are one task, so that memory is read in
// its own order.
void CpuBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  const int64_t batch = qkv.shape[0], length = qkv.shape[1], beside = qkv.shape[2], heads = qkv.shape[4], size = qkv.shape[5], token = heads * size;
  const int64_t group = length <= 64 ? heads : heads_together(simd_, batch, heads);
  const bool as_tiles = length <= 64 && size <= cpu::depth_block;
  const int64_t q_stride = as_tiles ? cpu::left_stride : size, head = length * size;
  const int64_t q_head = as_tiles ? cpu::rounded_up(length, cpu::tile_rows) * q_stride : head;
  // The heads of token t of queries or keys to scratch, so far apart.
  const auto take = [&](const float* x, const std::optional<View>& norm, float* to, int64_t apart, int64_t t) {
    if (norm) simd_.rms_norm(x, size, to, apart, group, size, with.epsilon, cpu::floats(*norm));
    for (int64_t h = 0; h < group; ++h, x += size, to += apart) {
      if (!norm) std::memcpy(to, x, size_t(size) * 4);
      if (with.cosines) simd_.rotate(to, cpu::floats(*with.cosines) + t * (size / 2), cpu::floats(*with.sines) + t * (size / 2), size / 2, to);
    }
  };
  const int64_t tasks = batch * beside * heads / group, row = 3 * token, next = beside * row;
  const auto first_row = [&](int64_t task) {   // token t is row first_row + t * beside
    const int64_t sequence = task * group / heads;
    return sequence / beside * length * beside + sequence % beside;
  };
  // A thread takes several short sequences one after the other, and asks for each beside the one before.
  const int64_t together = group == heads ? std::clamp<int64_t>(tasks / (4 * omp_get_max_threads()), 1, 8) : 1;
#pragma omp parallel for schedule(dynamic, together) if (tasks > 1 && worth_threads(out.size() * (2 * length + 64)))
  for (int64_t task = 0; task < tasks; ++task) {
    thread_local static Scratch scratch;
    const int64_t first = task * group % heads;
    float* q = scratch.q.room(group * q_head);
    float* k = scratch.k.room(group * head);
    const float* const x = cpu::floats(qkv) + first_row(task) * row + first * size;
    for (int64_t t = 0; t < length; ++t) {
      if (task % together == 0 && t + 2 < length)
        for (int64_t part = 0; part < 3; ++part) Ahead{x + (t + 2) * next + part * token, 1, 0, group * size}.ask(0, 1);
      take(x + t * next, with.q_norm, q + t * q_stride, q_head, t);
      take(x + t * next + token, with.k_norm, k + t * size, head, t);
    }
    Ahead ahead;
    if ((task + 1) % together > 0 && task + 1 < tasks) ahead = {cpu::floats(qkv) + first_row(task + 1) * row, length, next, row};
    attend(simd_, {group, size}, {q, length, q_stride, q_head, as_tiles}, {k, length, size, head}, {x + 2 * token, length, next, size}, with.scale,
           {}, cpu::floats(out) + first_row(task) * token + first * size, beside * token, past_caches(out), ahead, scratch);
  }
}

}  // namespace pyracast
