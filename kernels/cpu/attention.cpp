// For each batch entry and head: keys and values are packed once as the right factors of two matrix products; a few
// query rows at a time then go through scores, softmax and values while the scores stay in the cache.
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
  std::vector<float> keys, values, scores, mixed, q, k, v;
};

float* with_room(std::vector<float>& buffer, int64_t floats) {
  if (int64_t(buffer.size()) < floats) buffer.resize(size_t(floats));
  return buffer.data();
}

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

/// What is added to a query's scores: rows so far apart, or null.
struct BiasRows {
  const float* values = nullptr;
  int64_t stride = 0;
};

/// out = left * right for rows of the left factor, `stride` apart. `as_tiles`: they are left_stride apart and have room for whole tiles.
void multiply_near(const cpu::Simd& simd, const float* left, int64_t stride, bool as_tiles, int64_t rows, const cpu::NearPanels& right, int64_t columns,
                   float* out, int64_t out_stride) {
  const auto nothing = [](int64_t, int64_t, int64_t, float*) {};
  const auto multiply = [&](const auto& tiles, const auto& pack_left) {
    cpu::multiply_block<cpu::Room::whole_tiles>(tiles, 0, rows, 0, columns, right.depth, pack_left, right, out, out_stride, nothing);
  };
  if (as_tiles) multiply(cpu::NearTiles{simd, left}, nullptr);
  else multiply(cpu::FloatTiles{simd}, cpu::PackRows{left, rows, stride});
}

/// One head.
void attend(const cpu::Simd& simd, const Tokens& q, const Tokens& k, const Tokens& v, int64_t size, float scale, const BiasRows& bias,
            float* out, int64_t out_stride, Scratch& scratch) {
  const int64_t keys = k.count;
  const bool few = keys <= cpu::depth_block;
  const int64_t score_stride = few ? cpu::left_stride : cpu::rounded_up(keys, panel_columns);
  const int64_t mixed_stride = cpu::rounded_up(size, panel_columns);
  float* key_panels = with_room(scratch.keys, cpu::packed_size(keys, size));
  float* value_panels = with_room(scratch.values, cpu::packed_size(size, keys));
  float* scores = with_room(scratch.scores, cpu::row_block * score_stride);
  float* mixed = with_room(scratch.mixed, cpu::row_block * mixed_stride);
  pack_keys(k, size, key_panels);
  pack_values(v, size, value_panels);
  for (int64_t row = 0; row < q.count; row += cpu::row_block) {
    const int64_t rows = std::min(cpu::row_block, q.count - row);
    multiply_near(simd, q[row], q.stride, q.as_tiles, rows, {key_panels, size}, keys, scores, score_stride);
    simd.softmax(scores, score_stride, rows, keys, scale, bias.values ? bias.values + row * bias.stride : nullptr, bias.stride);
    multiply_near(simd, scores, score_stride, few, rows, {value_panels, keys}, size, mixed, mixed_stride);
    for (int64_t r = 0; r < rows; ++r) std::memcpy(out + (row + r) * out_stride, mixed + r * mixed_stride, size_t(size) * 4);
  }
}

}  // namespace

void CpuBackend::attention(View q, View k, View v, float scale, const AttentionBias* bias,
                           std::span<const KeyRange> keys_of, View out) {
  const int64_t batch = q.shape[0], queries = q.shape[1], heads = q.shape[2], size = q.shape[3];
  const int64_t token = heads * size;
#pragma omp parallel for schedule(dynamic, 4) if (batch * heads > 1 && worth_threads(2 * out.size() * k.shape[1]))
  for (int64_t task = 0; task < batch * heads; ++task) {
    thread_local static Scratch scratch;
    const int64_t b = task / heads, h = task % heads;
    const KeyRange range = keys_of.empty() ? KeyRange{b * k.shape[1], (b + 1) * k.shape[1]} : keys_of[size_t(b)];
    const int64_t keys = range.end - range.begin, first_key = range.begin * token + h * size;
    const int64_t first_query = b * queries * token + h * size;
    const Tokens of_q{cpu::floats(q) + first_query, queries, token}, of_k{cpu::floats(k) + first_key, keys, token},
        of_v{cpu::floats(v) + first_key, keys, token};
    BiasRows added;
    if (bias) added = {cpu::floats(bias->values) + b * bias->batch_stride + h * bias->head_stride, bias->query_stride};
    attend(simd_, of_q, of_k, of_v, size, scale, added, cpu::floats(out) + first_query, token, scratch);
  }
}

// The heads of a task are copied to scratch, queries and keys normalised and rotated on the way. Of short sequences all heads
// are one task, so that memory is read in its own order.
void CpuBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  const int64_t batch = qkv.shape[0], length = qkv.shape[1], beside = qkv.shape[2], heads = qkv.shape[4], size = qkv.shape[5], token = heads * size;
  const int64_t group = length <= 64 ? heads : 1;
  const bool as_tiles = group > 1 && size <= cpu::depth_block;
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
    float* q = with_room(scratch.q, group * q_head);
    float* k = with_room(scratch.k, group * head);
    float* v = with_room(scratch.v, group * head);
    for (int64_t t = 0; t < length; ++t) {
      const float* x = cpu::floats(qkv) + (first_row + t * beside) * 3 * token + first * size;
      take(x, with.q_norm, bool(with.cosines), q + t * q_stride, q_head, t);
      take(x + token, with.k_norm, bool(with.cosines), k + t * size, head, t);
      take(x + 2 * token, {}, false, v + t * size, head, t);
    }
    float* result = cpu::floats(out) + first_row * token + first * size;
    for (int64_t h = 0; h < group; ++h)
      attend(simd_, Tokens{q + h * q_head, length, q_stride, as_tiles}, Tokens{k + h * head, length, size}, Tokens{v + h * head, length, size}, size,
             with.scale, {}, result + h * size, beside * token, scratch);
  }
}

}  // namespace pyracast
