// For each batch entry and head: keys and values are packed once as the right factors of two matrix products; a few
// query rows at a time then go through scores, softmax and values while the scores stay in the cache.
#include "kernels/cpu/matrix_product.hpp"

namespace pyracast {

namespace {

using cpu::panel_columns;

/// Panels of `right` [depth][columns], element (k, n) at x[k * depth_stride + n * column_stride].
void pack_right(const float* x, int64_t depth, int64_t depth_stride, int64_t columns, int64_t column_stride,
                float* panels) {
  for (int64_t p = 0; p * panel_columns < columns; ++p)
    for (int64_t k = 0; k < depth; ++k)
      for (int64_t n = 0; n < panel_columns; ++n) {
        const int64_t column = p * panel_columns + n;
        panels[(p * depth + k) * panel_columns + n] =
            column < columns ? x[k * depth_stride + column * column_stride] : 0.f;
      }
}

/// Scratch of one thread, kept between calls.
struct Scratch {
  std::vector<float> keys, values, scores;
};

}  // namespace

void CpuBackend::attention(View q, View k, View v, float scale, const AttentionBias* bias,
                           std::span<const KeyRange> keys_of, View out) {
  const int64_t batch = q.shape[0], queries = q.shape[1], heads = q.shape[2], size = q.shape[3];
  const int64_t token = heads * size;
  const auto nothing = [](int64_t, int64_t, int64_t, float*) {};
#pragma omp parallel for schedule(dynamic) if (batch * heads > 1)
  for (int64_t task = 0; task < batch * heads; ++task) {
    thread_local static Scratch scratch;
    const int64_t b = task / heads, h = task % heads;
    const int64_t first_key = keys_of.empty() ? b * k.shape[1] : keys_of[size_t(b)].begin;
    const int64_t keys = keys_of.empty() ? k.shape[1] : keys_of[size_t(b)].end - first_key;
    scratch.keys.resize(size_t(cpu::packed_size(keys, size)));
    scratch.values.resize(size_t(cpu::packed_size(size, keys)));
    scratch.scores.resize(size_t(cpu::row_block * keys));
    const int64_t first = first_key * token + h * size;
    pack_right(cpu::floats(k) + first, size, 1, keys, token, scratch.keys.data());
    pack_right(cpu::floats(v) + first, keys, token, size, 1, scratch.values.data());
    const auto panel_of = [](const std::vector<float>& panels, int64_t depth) {
      return [&panels, depth](int64_t p, int64_t at, int64_t) { return panels.data() + (p * depth + at) * panel_columns; };
    };
    const float* q_rows = cpu::floats(q) + b * queries * token + h * size;
    float* out_rows = cpu::floats(out) + b * queries * token + h * size;
    for (int64_t row = 0; row < queries; row += cpu::row_block) {
      const int64_t rows = std::min(cpu::row_block, queries - row);
      float* scores = scratch.scores.data();
      cpu::multiply_block(simd_, 0, rows, 0, keys, size, cpu::PackRows{q_rows + row * token, rows, token},
                          panel_of(scratch.keys, size), scores, keys, nothing);
      for (int64_t r = 0; r < rows; ++r) {
        float* s = scores + r * keys;
        for (int64_t i = 0; i < keys; ++i) s[i] *= scale;
        if (bias) {
          const float* added = cpu::floats(bias->values) + b * bias->batch_stride + h * bias->head_stride +
                               (row + r) * bias->query_stride;
          for (int64_t i = 0; i < keys; ++i) s[i] += added[i];
        }
        simd_.softmax(s, keys);
      }
      cpu::multiply_block(simd_, 0, rows, 0, size, keys, cpu::PackRows{scores, rows, keys},
                          panel_of(scratch.values, keys), out_rows + row * token, token, nothing);
    }
  }
}

}  // namespace pyracast
