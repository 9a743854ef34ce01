#include <cstring>

#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

namespace {

/// out[i] = f(i) for all elements, pieces over the threads.
template <class F>
void for_each(View out, F f) {
  float* to = cpu::floats(out);
  cpu::parallel_pieces(out.size(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = f(i);
  });
}

/// f(group, row of x, row of out) for each row of x [groups, rows, channels].
template <class F>
void for_each_row(View x, View out, F f) {
  const int64_t rows = x.shape[1], channels = x.shape[2];
  cpu::parallel_pieces(x.shape[0] * rows, channels, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      f(r / rows, cpu::floats(x) + r * channels, cpu::floats(out) + r * channels);
  });
}

}  // namespace

void CpuBackend::modulate(View x, View shift, View scale, View out) {
  const int64_t channels = x.shape[2];
  for_each_row(x, out, [&](int64_t group, const float* row, float* result) {
    cpu::modulate_row(row, cpu::floats(shift) + group * channels, cpu::floats(scale) + group * channels, channels, result);
  });
}

void CpuBackend::gate(View x, View gate, View out) {
  const int64_t channels = x.shape[2];
  for_each_row(x, out, [&](int64_t group, const float* row, float* result) {
    const float* factor = cpu::floats(gate) + group * channels;
    for (int64_t c = 0; c < channels; ++c) result[c] = row[c] * factor[c];
  });
}

void CpuBackend::add_gated(View x, View branch, View gate, View out) {
  const int64_t rows = x.shape[1], channels = x.shape[2];
  const bool past_caches = cpu::past_caches(out);
  cpu::parallel_pieces(x.shape[0] * rows, channels, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      simd_.add_gated(cpu::floats(x) + r * channels, cpu::floats(branch) + r * channels, cpu::floats(gate) + r / rows * channels, channels,
                      cpu::floats(out) + r * channels, past_caches);
  });
}

void CpuBackend::rotate(View x, View cosines, View sines, View out) {
  const int64_t tokens = x.shape[1], heads = x.shape[2], size = x.shape[3], half = size / 2;
  cpu::parallel_pieces(x.shape[0] * tokens, heads * size, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* cosine = cpu::floats(cosines) + row % tokens * half;
      const float* sine = cpu::floats(sines) + row % tokens * half;
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t at = (row * heads + h) * size;
        simd_.rotate(cpu::floats(x) + at, cosine, sine, half, cpu::floats(out) + at);
      }
    }
  });
}

void CpuBackend::activate(View x, Activation activation, View out) {
  cpu::parallel_pieces(x.size(), 1, [&](int64_t begin, int64_t end) {
    simd_.activate(activation, cpu::floats(x) + begin, cpu::floats(out) + begin, end - begin);
  });
}

void CpuBackend::add(View a, View b, View out) {
  const float *x = cpu::floats(a), *y = cpu::floats(b);
  for_each(out, [=](int64_t i) { return x[i] + y[i]; });
}

void CpuBackend::multiply(View a, View b, View out) {
  const float *x = cpu::floats(a), *y = cpu::floats(b);
  for_each(out, [=](int64_t i) { return x[i] * y[i]; });
}

void CpuBackend::combine(float a, View x, float b, View y, View out) {
  const float *left = cpu::floats(x), *right = cpu::floats(y);
  for_each(out, [=](int64_t i) { return a * left[i] + b * right[i]; });
}

void CpuBackend::gather_rows(View table, std::span<const int64_t> indices, View out) {
  const size_t row = size_t(table.shape.back()) * size_of(table.dtype);
  for (size_t i = 0; i < indices.size(); ++i)
    std::memcpy(static_cast<char*>(out.data) + i * row, static_cast<const char*>(table.data) + size_t(indices[i]) * row, row);
}

}  // namespace pyracast
