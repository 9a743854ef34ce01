#include "metrics/video_drift.hpp"

#include <gmock/gmock.h>

#include <cmath>

#include "base/error.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;
using testing::ThrowsMessage;

Video plain(int frames, int size, uint8_t value) { return {frames, size, size, 8, std::vector<uint8_t>(size_t(frames * size * size * 3), value)}; }

TEST(VideoDrift, IsTheMeanOverFrames) {
  const Video reference = plain(2, 16, 100);
  Video video = reference;
  for (size_t i = video.frame_bytes(); i < video.rgb.size(); ++i) video.rgb[i] = 151;   // the second frame: off by a fifth
  const VideoDrift drift = drift_of(reference, video);
  ASSERT_EQ(drift.psnr.size(), 2u);
  EXPECT_EQ(drift.psnr[0], 100) << "an equal frame";
  EXPECT_NEAR(drift.psnr[1], -20 * std::log10(51 / 255.), 1e-4);
  EXPECT_DOUBLE_EQ(drift.mean_psnr, (drift.psnr[0] + drift.psnr[1]) / 2);
  ASSERT_TRUE(drift.mean_ssim);
  const double a = 100 / 255., b = 151 / 255.;   // of plain pictures the means alone count
  EXPECT_NEAR(*drift.mean_ssim, (1 + (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)) / 2, 1e-5);
}

TEST(VideoDrift, HasNoSsimBelowItsWindow) { EXPECT_FALSE(drift_of(plain(1, 10, 0), plain(1, 10, 9)).mean_ssim); }

TEST(VideoDrift, RefusesVideosOfOtherSizes) {
  EXPECT_THAT([] { drift_of(plain(2, 16, 0), plain(3, 16, 0)); }, ThrowsMessage<Error>(HasSubstr("expected the same size")));
}

TEST(RelativeMse, IsOverTheReference) {
  const std::vector<float> reference{3, 4}, values{3, 5};
  EXPECT_DOUBLE_EQ(*relative_mse(reference, values), 1 / 25.);
  EXPECT_DOUBLE_EQ(*relative_mse(values, reference), 1 / 34.);
  EXPECT_FALSE(relative_mse(reference, {}));
  EXPECT_FALSE(relative_mse(std::vector<float>{0, 0}, values));
}

}  // namespace
}  // namespace pyracast
