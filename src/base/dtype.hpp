#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

namespace pyracast {

/// Element types of tensors and of weight files.
enum class DType { float32, bfloat16, float16, int64, float64, int32, int16, int8, uint8, boolean };

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

/// The float32 of an IEEE half with these bits (exact).
float float_from_half(uint16_t bits);
/// The IEEE half nearest to `value`, ties to even.
uint16_t half_from_float(float value);

/// `value` rounded to bfloat16 and widened again.
inline float round_to_bfloat16(float value) { return float(bfloat16(value)); }

}  // namespace pyracast
