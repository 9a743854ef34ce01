#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace pyracast {

/// Element types of tensors and of weight files.
enum class DType { float32, bfloat16, float16, int64, float64, int32, int16, int8, uint8, boolean, float8 };

size_t size_of(DType type);
const char* name_of(DType type);

/// bfloat16: the upper half of a float32; conversion rounds to nearest even, NaN stays NaN. constexpr, for devices too.
struct bfloat16 {
  uint16_t bits = 0;
  constexpr bfloat16() = default;
  constexpr explicit bfloat16(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value);
    const bool nan = (u & 0x7fffffffu) > 0x7f800000u;
    bits = nan ? uint16_t((u >> 16) | 0x40) : uint16_t((u + 0x7fff + ((u >> 16) & 1)) >> 16);
  }
  constexpr explicit operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};

/// float8 of 4 exponent and 3 mantissa bits (E4M3 of Micikevicius et al., arXiv 2209.05433): no infinities, 448 the largest. Conversion
/// rounds to nearest even and saturates; NaN stays NaN. constexpr, for devices too.
struct float8 {
  static constexpr float largest = 448;
  uint8_t bits = 0;
  constexpr float8() = default;
  constexpr explicit float8(float value) {
    const uint32_t u = std::bit_cast<uint32_t>(value), magnitude = u & 0x7fffffffu, sign = u >> 24 & 0x80;
    constexpr uint32_t least_normal = std::bit_cast<uint32_t>(0x1p-6f), beyond = std::bit_cast<uint32_t>(464.f);   // which rounds up to 512
    if (magnitude > 0x7f800000u) bits = uint8_t(sign | 0x7f);
    else if (magnitude >= beyond) bits = uint8_t(sign | 0x7e);
    else if (magnitude >= least_normal) bits = uint8_t(sign | (((magnitude + 0x7ffff + (magnitude >> 20 & 1)) >> 20) - (120 << 3)));
    else bits = uint8_t(sign | (std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0x1p14f) & 0xf));   // steps of 2^-9, rounded by the sum
  }
  constexpr explicit operator float() const {
    const uint32_t sign = uint32_t(bits & 0x80) << 24, exponent = bits >> 3 & 15, mantissa = bits & 7;
    if ((bits & 0x7f) == 0x7f) return std::bit_cast<float>(sign | 0x7fc00000u);
    if (exponent == 0) return sign ? -float(mantissa) * 0x1p-9f : float(mantissa) * 0x1p-9f;
    return std::bit_cast<float>(sign | ((exponent + 120) << 23) | (mantissa << 20));
  }
};

/// The float32 of an IEEE half with these bits (exact).
float float_from_half(uint16_t bits);
/// The IEEE half nearest to `value`, ties to even.
uint16_t half_from_float(float value);

/// `value` rounded to bfloat16 and widened again.
inline float round_to_bfloat16(float value) { return float(bfloat16(value)); }

}  // namespace pyracast
