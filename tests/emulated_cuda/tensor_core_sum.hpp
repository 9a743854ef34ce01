#pragma once
// Sums as Hopper's tensor cores form them, which is not what IEEE 754 says (Xie et al., "MMA-Sim", arXiv 2511.10909; Khattak and Mikaitis,
// "Accurate models of NVIDIA tensor cores", arXiv 2512.07004): all products of an instruction and what they are added to are cut at the same
// place, so many bits behind the largest's first, added exactly, and the sum is cut to float32.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace emulated {

/// Of factors in bfloat16, and in float8, whose sums keep as many bits only.
inline constexpr int bits_of_bfloat16 = 25, bits_of_float8 = 13;

inline int exponent_of(float x) { return std::max(1, int(std::bit_cast<uint32_t>(x) >> 23 & 255)) - 127; }
inline double power_of_two(int exponent) { return std::bit_cast<double>(uint64_t(1023 + exponent) << 52); }

/// sum + left[0] right[0] + left[1] right[1] + …, `depth` products at once.
inline float tensor_core_sum(float sum, const float* left, const float* right, int64_t depth, int bits) {
  int largest = sum == 0 ? -126 : exponent_of(sum);
  double whole = sum;
  for (int64_t k = 0; k < depth; ++k) {
    const double product = double(left[k]) * right[k];
    whole += product;
    if (product != 0) largest = std::max(largest, exponent_of(left[k]) + exponent_of(right[k]));
  }
  if (!std::isfinite(whole)) return float(whole);
  const double scale = power_of_two(bits - largest);
  int64_t units = int64_t(sum * scale);
  for (int64_t k = 0; k < depth; ++k) units += int64_t(double(left[k]) * right[k] * scale);
  const uint64_t kept = ~uint64_t(0) << (52 - std::min(bits, 23));
  return float(std::bit_cast<double>(std::bit_cast<uint64_t>(double(units) * power_of_two(largest - bits)) & kept));
}

}  // namespace emulated
