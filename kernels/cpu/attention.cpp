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

/// Panels of the keys' transpose [size][keys]. A cache line of each key of a panel at a time.
void pack_keys(const Tokens& keys, int64_t size, float* panels) {
  constexpr int64_t line = 16;
  for (int64_t first = 0; first < keys.count; first += panel_columns, panels += size * panel_columns) {
    const int64_t count = std::min(panel_columns, keys.count - first);
    for (int64_t begin = 0; begin < size; begin += line) {
      const int64_t end = std::min(size, begin + line);
      for (int64_t n = 0; n < count; ++n)
        for (int64_t d = begin; d < end; ++d) panels[d * panel_columns + n] = keys[first + n][d];
      for (int64_t d = begin; d < end && count < panel_columns; ++d)
        std::fill_n(panels + d * panel_columns + count, panel_columns - count, 0.f);
    }
  }
}

/// Panels of the values [keys][size].
void pack_values(const Tokens& values, int64_t size, float* panels) {
  for (int64_t first = 0; first < size; first += panel_columns) {
    const int64_t count = std::min(panel_columns, size - first);
    for (int64_t key = 0; key < values.count; ++key, panels += panel_columns) {
      std::memcpy(panels, values[key] + first, size_t(count) * 4);
      std::fill_n(panels + count, panel_columns - count, 0.f);
    }
  }
}

/// One head; `bias(query)` gives what is added to a query's scores, or null.
template <class Bias>
void attend(const cpu::Simd& simd, const Tokens& q, const Tokens& k, const Tokens& v, int64_t size, float scale, Bias bias,
            float* out, int64_t out_stride, Scratch& scratch) {
  const auto nothing = [](int64_t, int64_t, int64_t, float*) {};
  const int64_t keys = k.count, score_stride = cpu::rounded_up(keys, panel_columns);
  const int64_t mixed_stride = cpu::rounded_up(size, panel_columns);
  float* key_panels = with_room(scratch.keys, cpu::packed_size(keys, size));
  float* value_panels = with_room(scratch.values, cpu::packed_size(size, keys));
  float* scores = with_room(scratch.scores, cpu::row_block * score_stride);
  float* mixed = with_room(scratch.mixed, cpu::row_block * mixed_stride);
  pack_keys(k, size, key_panels);
  pack_values(v, size, value_panels);
  for (int64_t row = 0; row < q.count; row += cpu::row_block) {
    const int64_t rows = std::min(cpu::row_block, q.count - row);
    cpu::multiply_block<cpu::Room::whole_tiles>(cpu::FloatTiles{simd}, 0, rows, 0, keys, size, cpu::PackRows{q[row], rows, q.stride},
                                                cpu::NearPanels{key_panels, size}, scores, score_stride, nothing);
    for (int64_t r = 0; r < rows; ++r) simd.softmax(scores + r * score_stride, keys, scale, bias(row + r));
    cpu::multiply_block<cpu::Room::whole_tiles>(cpu::FloatTiles{simd}, 0, rows, 0, size, keys, cpu::PackRows{scores, rows, score_stride},
                                                cpu::NearPanels{value_panels, keys}, mixed, mixed_stride, nothing);
    for (int64_t r = 0; r < rows; ++r) std::memcpy(out + (row + r) * out_stride, mixed + r * mixed_stride, size_t(size) * 4);
  }
}

const float* no_bias(int64_t) { return nullptr; }

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
    float* result = cpu::floats(out) + first_query;
    if (!bias) {
      attend(simd_, of_q, of_k, of_v, size, scale, no_bias, result, token, scratch);
      continue;
    }
    const float* added = cpu::floats(bias->values) + b * bias->batch_stride + h * bias->head_stride;
    attend(simd_, of_q, of_k, of_v, size, scale, [&](int64_t query) { return added + query * bias->query_stride; }, result,
           token, scratch);
  }
}

// The heads of a task are copied to scratch, queries and keys normalised and rotated on the way. Of short sequences all heads
// are one task, so that memory is read in its own order.
void CpuBackend::packed_attention(View qkv, const PackedAttention& with, View out) {
  const int64_t batch = qkv.shape[0], length = qkv.shape[1], heads = qkv.shape[3], size = qkv.shape[4], token = heads * size;
  const int64_t group = length <= 64 ? heads : 1;
  const auto head_of = [&](const float* x, const std::optional<View>& norm, bool turned, int64_t t, float* to) {
    if (norm) simd_.rms_norm(x, to, size, with.epsilon, cpu::floats(*norm));
    else std::memcpy(to, x, size_t(size) * 4);
    if (turned)
      cpu::rotate_head(to, cpu::floats(*with.cosines) + t * (size / 2), cpu::floats(*with.sines) + t * (size / 2), size / 2, to);
  };
#pragma omp parallel for schedule(dynamic) if (batch * heads / group > 1 && worth_threads(out.size() * (2 * length + 64)))
  for (int64_t task = 0; task < batch * heads / group; ++task) {
    thread_local static Scratch scratch;
    const int64_t b = task * group / heads, first = task * group % heads, head = length * size;
    float* q = with_room(scratch.q, group * head);
    float* k = with_room(scratch.k, group * head);
    float* v = with_room(scratch.v, group * head);
    for (int64_t t = 0; t < length; ++t) {
      const float* x = cpu::floats(qkv) + (b * length + t) * 3 * token + first * size;
      for (int64_t h = 0; h < group; ++h) head_of(x + h * size, with.q_norm, bool(with.cosines), t, q + h * head + t * size);
      for (int64_t h = 0; h < group; ++h) head_of(x + token + h * size, with.k_norm, bool(with.cosines), t, k + h * head + t * size);
      for (int64_t h = 0; h < group; ++h) head_of(x + 2 * token + h * size, {}, false, t, v + h * head + t * size);
    }
    float* result = cpu::floats(out) + b * length * token + first * size;
    for (int64_t h = 0; h < group; ++h)
      attend(simd_, Tokens{q + h * head, length, size}, Tokens{k + h * head, length, size}, Tokens{v + h * head, length, size}, size,
             with.scale, no_bias, result + h * size, token, scratch);
  }
}

}  // namespace pyracast
