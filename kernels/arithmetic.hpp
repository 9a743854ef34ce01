#pragma once
// Arithmetic that a GPU and the tests on the host share: constexpr, so that nvcc (--expt-relaxed-constexpr) compiles it
// for the device as it stands. The CPU's hot loops keep their own copies in cpu/simd.cpp, which is compiled once for each
// instruction set and may use no function of a header.
#include <bit>

#include "kernels/backend.hpp"

namespace pyracast {

/// exp(x) by 2^n * p(r), r = x - n ln 2 (two-part constant), p of degree 7; relative error below 2e-7. x is clamped to
/// [-87, 88].
constexpr float exponential(float x) {
  x = x < -87.f ? -87.f : (x > 88.f ? 88.f : x);
  const float n = float(int(x * 1.44269504088896341f + (x < 0 ? -0.5f : 0.5f)));
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.f / 5040;
  p = p * r + 1.f / 720;
  p = p * r + 1.f / 120;
  p = p * r + 1.f / 24;
  p = p * r + 1.f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  return p * std::bit_cast<float>((int32_t(n) + 127) << 23);
}

constexpr float activated(Activation activation, float x) {
  switch (activation) {
    case Activation::relu: return x > 0 ? x : 0;
    case Activation::silu: return x / (1 + exponential(-x));
    case Activation::gelu_tanh: {   // x (1 + tanh u) / 2 = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3)
      const float u = 0.7978845608028654f * (x + 0.044715f * x * x * x);
      return x / (1 + exponential(-2 * u));
    }
    default: return x;
  }
}

/// PixelRounding says how. `product(a, b)` is a * b, rounded before anything is added to it.
template <class Product>
constexpr uint8_t pixel_of(PixelRounding rounding, float x, Product product) {
  if (rounding == PixelRounding::down) {
    const float v = x / 2 + 0.5f;
    return v > 0 ? uint8_t((v < 1 ? v : 1) * 255) : uint8_t(0);
  }
  return x > -1 ? uint8_t(product(((x < 1 ? x : 1) + 1) / 2, 255) + 0.5f) : uint8_t(0);
}

/// How many pieces of `step` cover n.
constexpr int64_t pieces_of(int64_t n, int64_t step) { return (n + step - 1) / step; }

}  // namespace pyracast
