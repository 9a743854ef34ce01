#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/dtype.hpp"

namespace pyracast {
namespace {

float8 of_bits(int bits) {
  float8 value;
  value.bits = uint8_t(bits);
  return value;
}

TEST(Float8, HoldsItsValuesExactly) {
  EXPECT_EQ(float(of_bits(0x7e)), 448);
  EXPECT_EQ(float(of_bits(0x08)), std::ldexp(1.f, -6));
  EXPECT_EQ(float(of_bits(0x01)), std::ldexp(1.f, -9));
  EXPECT_TRUE(std::isnan(float(of_bits(0x7f))));
  for (int bits = 0; bits < 256; ++bits) {
    const float value = float(of_bits(bits));
    if (!std::isnan(value)) EXPECT_EQ(float8(value).bits, bits) << value;
    else EXPECT_EQ(float8(value).bits & 0x7f, 0x7f);
  }
}

TEST(Float8, RoundsToTheNearestAndTiesToEven) {
  std::mt19937 generator(1);
  std::uniform_real_distribution<float> exponent(-12, 10), sign(-1, 1);
  for (int i = 0; i < 100000; ++i) {
    const float x = std::copysign(std::exp2(exponent(generator)), sign(generator));
    const float rounded = float(float8(x));
    double nearest = INFINITY;
    for (int bits = 0; bits < 0x7f; ++bits) nearest = std::min(nearest, std::abs(std::abs(double(x)) - float(of_bits(bits))));
    EXPECT_EQ(std::abs(double(x) - rounded), nearest) << x;
    EXPECT_EQ(std::signbit(rounded), std::signbit(x));
  }
  EXPECT_EQ(float(float8(1.0625f)), 1);       // half way to 1.125
  EXPECT_EQ(float(float8(1.1875f)), 1.25f);   // half way from 1.125
  EXPECT_EQ(float(float8(std::ldexp(1.f, -10))), 0);
  EXPECT_EQ(float(float8(std::ldexp(3.f, -10))), std::ldexp(1.f, -8));
  for (const float x : {449.f, 464.f, 1e30f, INFINITY}) EXPECT_EQ(float(float8(x)), 448);
  EXPECT_EQ(float(float8(-INFINITY)), -448);
}

}  // namespace
}  // namespace pyracast
