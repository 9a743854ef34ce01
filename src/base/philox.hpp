#pragma once
// Counter-based random numbers and normal deviates that have the same bits everywhere. All functions are constexpr and
// use nothing but integers and single float additions, multiplications and divisions, which IEEE 754 defines exactly:
// a CPU, a GPU (nvcc --expt-relaxed-constexpr) and the compiler itself give the same bits, as long as no
// multiplication and addition are fused into one (-ffp-contract=off, nvcc --fmad=false) and division is exact (no
// fast-math). The mathematical library is not called: its logarithm and sine differ between systems.
#include <array>
#include <bit>
#include <cstdint>

namespace pyracast {

using PhiloxCounter = std::array<uint32_t, 4>;
using PhiloxKey = std::array<uint32_t, 2>;

/// Philox4x32-10: 128 random bits for each counter and key. Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as
/// easy as 1, 2, 3", SC 2011.
constexpr PhiloxCounter philox4x32(PhiloxCounter counter, PhiloxKey key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t first = uint64_t(0xD2511F53u) * counter[0], second = uint64_t(0xCD9E8D57u) * counter[2];
    counter = {uint32_t(second >> 32) ^ counter[1] ^ key[0], uint32_t(second),
               uint32_t(first >> 32) ^ counter[3] ^ key[1], uint32_t(first)};
    key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
  }
  return counter;
}

/// ln(x) for finite x > 0 that is not subnormal; relative error below 2e-7 except next to 1, where the absolute error
/// is below 1e-7.
constexpr float portable_log(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  int exponent = int(bits >> 23) - 127;
  float mantissa = std::bit_cast<float>((bits & 0x007fffffu) | 0x3f800000u);   // 1 <= mantissa < 2
  if (mantissa > 1.41421356f) {
    mantissa *= 0.5f;
    ++exponent;
  }
  // ln m = 2 artanh(s) with s = (m - 1) / (m + 1), |s| < 0.172
  const float s = (mantissa - 1.0f) / (mantissa + 1.0f), square = s * s;
  const float series = square * (1.0f / 3 + square * (1.0f / 5 + square * (1.0f / 7 + square * (1.0f / 9))));
  // ln 2 in two parts: the first times a small exponent is exact.
  return float(exponent) * 0.693359375f + (float(exponent) * -2.12194440e-4f + (2.0f * s + 2.0f * s * series));
}

/// The square root of x >= 0 (normal or zero) by Heron's rule; relative error below 2e-7.
constexpr float portable_sqrt(float x) {
  if (x <= 0.0f) return 0.0f;
  float root = std::bit_cast<float>((std::bit_cast<uint32_t>(x) >> 1) + 0x1fbd1df5u);   // halves the exponent
  for (int step = 0; step < 3; ++step) root = 0.5f * (root + x / root);
  return root;
}

struct SineCosine {
  float sine, cosine;
};

/// Sine and cosine of 2 pi turn / 2^32; absolute error below 2e-7.
constexpr SineCosine portable_sine_cosine(uint32_t turn) {
  // The nearest quarter turn and what is left, -pi/4 <= angle < pi/4: exact in integers.
  const uint32_t quarter = (turn + 0x20000000u) >> 30;
  const int32_t rest = int32_t(turn - (quarter << 30));
  const float angle = float(rest) * 1.46291807926715968e-9f;   // 2 pi / 2^32
  const float square = angle * angle;
  const float sine =
      angle + angle * square * (-1.0f / 6 + square * (1.0f / 120 + square * (-1.0f / 5040 + square * (1.0f / 362880))));
  const float cosine =
      1.0f + square * (-0.5f + square * (1.0f / 24 + square * (-1.0f / 720 + square * (1.0f / 40320))));
  switch (quarter & 3) {
    case 0: return {sine, cosine};
    case 1: return {cosine, -sine};
    case 2: return {-sine, -cosine};
    default: return {-cosine, sine};
  }
}

/// Two independent standard normal values from two random words (Box and Muller 1958): sqrt(-2 ln u) cos and sin of
/// 2 pi v, with u = (first + 1/2) / 2^32, so that no value exceeds 6.8.
constexpr std::array<float, 2> normal_pair(uint32_t first, uint32_t second) {
  const float u = float(first) * 0x1p-32f + 0x1p-33f;
  const float radius = portable_sqrt(-2.0f * portable_log(u));
  const SineCosine direction = portable_sine_cosine(second);
  return {radius * direction.cosine, radius * direction.sine};
}

}  // namespace pyracast
