#include <cmath>

#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

namespace {

const float* floats_or_null(const View* x) { return x ? cpu::floats(*x) : nullptr; }

}  // namespace

void CpuBackend::layer_norm(View x, float epsilon, const View* weight, const View* bias, View out) {
  const int64_t n = x.shape.back();
  cpu::parallel_pieces(x.size() / n, n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      simd_.layer_norm(cpu::floats(x) + r * n, cpu::floats(out) + r * n, n, epsilon, floats_or_null(weight),
                       floats_or_null(bias));
  });
}

void CpuBackend::modulated_norm(View x, float epsilon, View shift, View scale, View out) {
  const int64_t rows = x.shape[1], n = x.shape[2];
  const bool past_caches = cpu::past_caches(out);
  cpu::parallel_pieces(x.shape[0] * rows, n, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r)
      simd_.modulated_norm(cpu::floats(x) + r * n, n, epsilon, cpu::floats(shift) + r / rows * n, cpu::floats(scale) + r / rows * n,
                           cpu::floats(out) + r * n, past_caches);
  });
}

void CpuBackend::rms_norm(View x, float epsilon, View weight, View out) {
  const int64_t n = x.shape.back();
  cpu::parallel_pieces(x.size() / n, n, [&](int64_t begin, int64_t end) {
    simd_.rms_norm(cpu::floats(x) + begin * n, n, cpu::floats(out) + begin * n, n, end - begin, n, epsilon, cpu::floats(weight));
  });
}

// Sums are taken over pieces of fixed length and added up in their order, in double, so that they do not depend on the
// number of threads.
void CpuBackend::group_norm(View x, int64_t groups, float epsilon, View weight, View bias, Activation activation,
                            View out) {
  const int64_t batch = x.shape[0], positions = x.shape[1], channels = x.shape[2], width = channels / groups;
  constexpr int64_t piece = 256;
  const int64_t pieces = (positions + piece - 1) / piece;
  // [batch][piece][channel] sums of x, then of x^2
  std::vector<double> sums(size_t(batch * pieces * channels) * 2);
  cpu::parallel_pieces(batch * pieces, piece * channels, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      double* sum = sums.data() + p * channels * 2;
      double* square = sum + channels;
      const int64_t first = p % pieces * piece, last = std::min(positions, first + piece);
      for (int64_t i = first; i < last; ++i) {
        const float* row = cpu::floats(x) + (p / pieces * positions + i) * channels;
        simd_.add_moments(row, channels, sum, square);
      }
    }
  });
  std::vector<float> scales(size_t(batch * channels)), shifts(size_t(batch * channels));
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t g = 0; g < groups; ++g) {
      double sum = 0, square = 0;
      for (int64_t p = 0; p < pieces; ++p)
        for (int64_t c = g * width; c < (g + 1) * width; ++c) {
          sum += sums[size_t(((b * pieces + p) * 2) * channels + c)];
          square += sums[size_t(((b * pieces + p) * 2 + 1) * channels + c)];
        }
      const double count = double(positions * width), mean = sum / count;
      const double scale = 1 / std::sqrt(std::max(0.0, square / count - mean * mean) + double(epsilon));
      for (int64_t c = g * width; c < (g + 1) * width; ++c) {
        scales[size_t(b * channels + c)] = float(scale * cpu::floats(weight)[c]);
        shifts[size_t(b * channels + c)] = float(cpu::floats(bias)[c] - mean * scale * cpu::floats(weight)[c]);
      }
    }
  cpu::parallel_pieces(batch * positions, channels, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const float* row = cpu::floats(x) + r * channels;
      float* result = cpu::floats(out) + r * channels;
      const float* scale = scales.data() + r / positions * channels;
      const float* shift = shifts.data() + r / positions * channels;
      for (int64_t c = 0; c < channels; ++c) result[c] = row[c] * scale[c] + shift[c];
      if (activation != Activation::none) simd_.activate(activation, result, result, channels);
    }
  });
}

}  // namespace pyracast
