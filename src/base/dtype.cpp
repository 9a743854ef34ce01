#include "base/dtype.hpp"

#include <cmath>

#include "base/error.hpp"

namespace pyracast {

size_t size_of(DType type) {
  switch (type) {
    case DType::float64:
    case DType::int64: return 8;
    case DType::float32:
    case DType::int32: return 4;
    case DType::bfloat16:
    case DType::float16:
    case DType::int16: return 2;
    case DType::int8:
    case DType::float8:
    case DType::uint8:
    case DType::boolean: return 1;
  }
  fail("unknown element type ", int(type));
}

const char* name_of(DType type) {
  switch (type) {
    case DType::float64: return "float64";
    case DType::float32: return "float32";
    case DType::bfloat16: return "bfloat16";
    case DType::float16: return "float16";
    case DType::int64: return "int64";
    case DType::int32: return "int32";
    case DType::int16: return "int16";
    case DType::int8: return "int8";
    case DType::float8: return "float8";
    case DType::uint8: return "uint8";
    case DType::boolean: return "bool";
  }
  return "unknown";
}

float float_from_half(uint16_t bits) {
  const uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = (bits >> 10) & 31, mantissa = bits & 0x3ff;
  uint32_t u = 0;
  if (exponent == 31) {
    u = sign | 0x7f800000u | (mantissa << 13);
  } else if (exponent) {
    u = sign | ((exponent + 112) << 23) | (mantissa << 13);
  } else {
    const float value = std::ldexp(float(mantissa), -24);
    return sign ? -value : value;
  }
  float value;
  std::memcpy(&value, &u, 4);
  return value;
}

uint16_t half_from_float(float value) {
  uint32_t u;
  std::memcpy(&u, &value, 4);
  const uint16_t sign = uint16_t((u >> 16) & 0x8000);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7e00;
  if (magnitude >= 65520.f) return sign | 0x7c00;
  if (magnitude < 6.103515625e-05f) return sign | uint16_t(std::nearbyint(std::ldexp(magnitude, 24)));   // subnormal
  std::memcpy(&u, &magnitude, 4);
  u += 0xfff + ((u >> 13) & 1);
  return sign | uint16_t((u >> 13) - (112 << 10));
}

}  // namespace pyracast
