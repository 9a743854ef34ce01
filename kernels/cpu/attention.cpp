// For each batch entry and head: keys and values are packed once as the right factors of two matrix products; a few
// query rows at a time then go through scores, softmax and values while the scores stay in the cache.
#include <omp.h>

#include "kernels/cpu/matrix_product.hpp"

namespace pyracast {

namespace {

using cpu::panel_columns;

/// Tokens of one head, `stride` floats apart.
struct Tokens {
  const float* x;
  int64_t count, stride;
  bool as_tiles = false;   ///< left_stride apart, of one block of depth, with room for whole tiles of rows
  const float* operator[](int64_t i) const { return x + i * stride; }
};

/// Scratch of one thread, kept between calls.
struct Scratch {
  cpu::CacheLines<float> keys, values, scores, mixed, of_heads, q, k, v;
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

/// Zeros behind the `count` columns of a row of a panel, as far as a tile reads: whole vectors of at most 16.
void zero_behind(float* row, int64_t count) {
  for (int64_t end = cpu::rounded_up(count, 16); count < end; ++count) row[count] = 0;
}

/// Panels of the keys' transpose [size][keys], zeros behind the last key.
void pack_keys(const Tokens& keys, int64_t size, float* panels) {
  for (int64_t first = 0; first < keys.count; first += panel_columns, panels += size * panel_columns) {
    const int64_t count = std::min(panel_columns, keys.count - first);
    int64_t n = 0;
    for (; n + 4 <= count; n += 4) {
      const float* four[] = {keys[first + n], keys[first + n + 1], keys[first + n + 2], keys[first + n + 3]};
      int64_t d = 0;
      for (; d + 4 <= size; d += 4) transpose_four(four, d, panels + n);
      for (; d < size; ++d)
        for (int i = 0; i < 4; ++i) panels[d * panel_columns + n + i] = four[i][d];
    }
    for (; n < count; ++n)
      for (int64_t d = 0; d < size; ++d) panels[d * panel_columns + n] = keys[first + n][d];
    for (int64_t d = 0; d < size; ++d) zero_behind(panels + d * panel_columns, count);
  }
}

/// Panels of the values [keys][size].
void pack_values(const Tokens& values, int64_t size, float* panels) {
  for (int64_t first = 0; first < size; first += panel_columns) {
    const int64_t count = std::min(panel_columns, size - first);
    for (int64_t key = 0; key < values.count; ++key, panels += panel_columns) {
      if (count == panel_columns) std::memcpy(panels, values[key] + first, panel_columns * 4);   // of a size that the compiler knows
      else std::memcpy(panels, values[key] + first, size_t(count) * 4);
      zero_behind(panels, count);
    }
  }
}

/// Heads that go together; the next one's tokens lie so many floats on.
struct Heads {
  int64_t count, size, apart_queries, apart;
};

/// What is added to the scores of a head's query: rows so far apart, or null.
struct BiasRows {
  const float* values = nullptr;
  int64_t stride = 0, head_stride = 0;
  const float* at(int64_t head, int64_t query) const { return values ? values + head * head_stride + query * stride : nullptr; }
};

/// out = left * right for rows of the left factor, `stride` apart. `as_tiles`: they are left_stride apart and have room for whole tiles.
void multiply_near(const cpu::Simd& simd, const float* left, int64_t stride, bool as_tiles, int64_t rows, const cpu::NearPanels& right, int64_t columns,
                   float* out, int64_t out_stride) {
  const auto nothing = [](auto...) {};
  const auto multiply = [&](const auto& tiles, const auto& pack_left) {
    cpu::multiply_block<cpu::Room::whole_tiles>(tiles, 0, rows, 0, columns, right.depth, pack_left, right, out, out_stride, nothing);
  };
  if (as_tiles) multiply(cpu::NearTiles{simd, left}, nullptr);
  else multiply(cpu::FloatTiles{simd}, cpu::PackRows{left, rows, stride});
}

/// attend() on AMX: both products are of factors rounded to bfloat16, the exponentials too, whose sum divides what is left of them. A few rows of all
/// heads go together, so that memory is read and written in its own order.
void attend_in_tiles(const cpu::Amx& amx, const Heads& heads, const Tokens& q, const Tokens& k, const Tokens& v, float scale, const BiasRows& bias,
                     float* out, int64_t out_stride, bool streams, Scratch& scratch) {
  using namespace cpu;
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
  float* const of_heads = scratch.of_heads.room(amx_block * heads.count * size);
  float* const scores = scratch.scores.room(amx_block * score_stride);
  float* const mixed = scratch.mixed.room(amx_block * mixed_stride);
  for (int64_t h = 0; h < heads.count; ++h) {
    const float *of_keys = k[0] + h * heads.apart, *of_values = v[0] + h * heads.apart;
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
        const float* from = q[row + r] + h * heads.apart_queries;
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
    for (int64_t r = 0; r < rows; ++r) amx.copy(of_heads + r * width, width, out + (row + r) * out_stride, streams);
  }
}

/// One head, whose bias is that of the first.
void attend_head(const cpu::Simd& simd, const Tokens& q, const Tokens& k, const Tokens& v, int64_t size, float scale, const BiasRows& bias, float* out,
                 int64_t out_stride, Scratch& scratch) {
  const int64_t keys = k.count;
  const bool few = keys <= cpu::depth_block;
  const int64_t score_stride = few ? cpu::left_stride : cpu::rounded_up(keys, panel_columns);
  const int64_t mixed_stride = cpu::rounded_up(size, panel_columns);
  float* key_panels = scratch.keys.room(cpu::packed_size(keys, size));
  float* value_panels = scratch.values.room(cpu::packed_size(size, keys));
  float* scores = scratch.scores.room(cpu::row_block * score_stride);
  float* mixed = scratch.mixed.room(cpu::row_block * mixed_stride);
  pack_keys(k, size, key_panels);
  pack_values(v, size, value_panels);
  for (int64_t row = 0; row < q.count; row += cpu::row_block) {
    const int64_t rows = std::min(cpu::row_block, q.count - row);
    multiply_near(simd, q[row], q.stride, q.as_tiles, rows, {key_panels, size}, keys, scores, score_stride);
    simd.softmax(scores, score_stride, rows, keys, scale, bias.at(0, row), bias.stride);
    multiply_near(simd, scores, score_stride, few, rows, {value_panels, keys}, size, mixed, mixed_stride);
    for (int64_t r = 0; r < rows; ++r) std::memcpy(out + (row + r) * out_stride, mixed + r * mixed_stride, size_t(size) * 4);
  }
}

/// Attention of heads whose outputs lie beside each other. `past_caches`: these may be written past the caches.
void attend(const cpu::Simd& simd, const Heads& heads, Tokens q, Tokens k, Tokens v, float scale, BiasRows bias, float* out, int64_t out_stride,
            bool past_caches, Scratch& scratch) {
  if (simd.amx) {
    const cpu::AmxTiles tiles(*simd.amx);
    const bool whole_lines = heads.count * heads.size % 16 == 0 && out_stride % 16 == 0 && reinterpret_cast<uintptr_t>(out) % 64 == 0;
    return attend_in_tiles(*simd.amx, heads, q, k, v, scale, bias, out, out_stride, past_caches && whole_lines, scratch);
  }
  for (int64_t h = 0; h < heads.count; ++h) {
    attend_head(simd, q, k, v, heads.size, scale, bias, out + h * heads.size, out_stride, scratch);
    q.x += heads.apart_queries;
    k.x += heads.apart;
    v.x += heads.apart;
    if (bias.values) bias.values += bias.head_stride;
  }
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
    const Tokens of_q{cpu::floats(q) + first_query, queries, token}, of_k{cpu::floats(k) + first_key, keys, token},
        of_v{cpu::floats(v) + first_key, keys, token};
    BiasRows added;
    if (bias) added = {cpu::floats(bias->values) + b * bias->batch_stride + h * bias->head_stride, bias->query_stride, bias->head_stride};
    attend(simd_, {group, size, size, size}, of_q, of_k, of_v, scale, added, cpu::floats(out) + first_query, token, cpu::past_caches(out), scratch);
  }
}

// The heads of a task are copied to scratch, queries and keys normalised and rotated on the way. Of short sequences all heads
// are one task, so that memory is read in its own order.
void CpuBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  const int64_t batch = qkv.shape[0], length = qkv.shape[1], beside = qkv.shape[2], heads = qkv.shape[4], size = qkv.shape[5], token = heads * size;
  const int64_t group = length <= 64 ? heads : heads_together(simd_, batch, heads);
  const bool as_tiles = length <= 64 && size <= cpu::depth_block;
  const int64_t q_stride = as_tiles ? cpu::left_stride : size, head = length * size;
  const int64_t q_head = as_tiles ? cpu::rounded_up(length, cpu::tile_rows) * q_stride : head;
  // The heads of token t of queries, keys or values to scratch, so far apart.
  const auto take = [&](const float* x, const std::optional<View>& norm, bool turned, float* to, int64_t apart, int64_t t) {
    if (norm) simd_.rms_norm(x, size, to, apart, group, size, with.epsilon, cpu::floats(*norm));
    for (int64_t h = 0; h < group; ++h, x += size, to += apart) {
      if (!norm) std::memcpy(to, x, size_t(size) * 4);
      if (turned) simd_.rotate(to, cpu::floats(*with.cosines) + t * (size / 2), cpu::floats(*with.sines) + t * (size / 2), size / 2, to);
    }
  };
#pragma omp parallel for schedule(dynamic) if (batch * beside * heads / group > 1 && worth_threads(out.size() * (2 * length + 64)))
  for (int64_t task = 0; task < batch * beside * heads / group; ++task) {
    thread_local static Scratch scratch;
    const int64_t sequence = task * group / heads, first = task * group % heads;
    const int64_t first_row = sequence / beside * length * beside + sequence % beside;   // token t is row first_row + t * beside
    float* q = scratch.q.room(group * q_head);
    float* k = scratch.k.room(group * head);
    float* v = scratch.v.room(group * head);
    for (int64_t t = 0; t < length; ++t) {
      const float* x = cpu::floats(qkv) + (first_row + t * beside) * 3 * token + first * size;
      if (t + 2 < length)   // this memory is far
        for (const float* part : {x, x + token, x + 2 * token})
          for (int64_t i = 0; i < group * size; i += 16) __builtin_prefetch(part + 2 * beside * 3 * token + i, 0, 2);
      take(x, with.q_norm, bool(with.cosines), q + t * q_stride, q_head, t);
      take(x + token, with.k_norm, bool(with.cosines), k + t * size, head, t);
      take(x + 2 * token, {}, false, v + t * size, head, t);
    }
    float* result = cpu::floats(out) + first_row * token + first * size;
    attend(simd_, {group, size, q_head, head}, {q, length, q_stride, as_tiles}, {k, length, size}, {v, length, size}, with.scale, {}, result,
           beside * token, cpu::past_caches(out), scratch);
  }
}

}  // namespace pyracast
