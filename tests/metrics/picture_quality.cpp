#include "metrics/picture_quality.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.hpp"

namespace pyracast {
namespace {

Planes flat(int64_t channels, int64_t height, int64_t width, float value) {
  return {channels, height, width, std::vector<float>(size_t(channels * height * width), value)};
}

TEST(Psnr, IsTenTimesTheLogarithmOfOneOverTheMeanSquare) {
  EXPECT_NEAR(psnr(flat(3, 2, 2, 0.5f), flat(3, 2, 2, 0.6f)), 20, 1e-5);
  Planes one = flat(1, 2, 2, 0);
  one.values[3] = 1;
  EXPECT_NEAR(psnr(one, flat(1, 2, 2, 0)), 6.0206, 1e-4);
}

TEST(Psnr, OfEqualPicturesIsAHundred) { EXPECT_EQ(psnr(flat(3, 4, 5, 0.3f), flat(3, 4, 5, 0.3f)), 100); }

TEST(Ssim, OfFlatPicturesComparesTheirBrightnessAlone) {
  const double c1 = 1e-4, a = 0.5, b = 0.25;
  EXPECT_NEAR(ssim(flat(2, 11, 13, a), flat(2, 11, 13, b)), (2 * a * b + c1) / (a * a + b * b + c1), 1e-7);
  EXPECT_NEAR(ssim(flat(1, 20, 11, 0.7f), flat(1, 20, 11, 0.7f)), 1, 1e-12);
}

TEST(Ssim, FallsWhereThePatternIsTurnedAround) {
  Planes pattern = flat(1, 16, 16, 0), inverse = pattern;
  for (size_t i = 0; i < pattern.values.size(); ++i) {
    pattern.values[i] = float((i / 16 + i) % 2);
    inverse.values[i] = 1 - pattern.values[i];
  }
  EXPECT_LT(ssim(pattern, inverse), -0.9);
}

TEST(PictureQuality, OfDifferentSizesIsRefused) {
  EXPECT_THAT([] { psnr(flat(3, 4, 5, 0), flat(3, 5, 4, 0)); }, testing::ThrowsMessage<Error>(testing::HasSubstr("3 x 4 x 5")));
  EXPECT_THAT([] { ssim(flat(3, 10, 30, 0), flat(3, 10, 30, 0)); }, testing::ThrowsMessage<Error>(testing::HasSubstr("11 x 11")));
}

}  // namespace
}  // namespace pyracast
