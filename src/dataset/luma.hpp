#pragma once
#include <cstdint>

namespace pyracast {

/// Luma of coded RGB (BT.709) as a whole number, in steps of 1 / luma_scale of a level.
inline constexpr int luma_scale = 256;
inline uint16_t luma_of(const uint8_t* rgb) {   // 0.2126, 0.7152, 0.0722 in 16 bits, which add up to 1
  return uint16_t((13933 * uint32_t(rgb[0]) + 46871 * uint32_t(rgb[1]) + 4732 * uint32_t(rgb[2])) >> 8);
}

}  // namespace pyracast
