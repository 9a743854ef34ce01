#include "dataset/clip_quality.hpp"

#include <gtest/gtest.h>

#include <functional>

namespace pyracast {
namespace {

/// A clip of 8 x 10 pixels; `rgb` gives the colour of (frame, y, x).
Video clip(int frames, const std::function<std::array<uint8_t, 3>(int, int, int)>& rgb) {
  Video video{frames, 8, 10, 8, {}};
  for (int frame = 0; frame < frames; ++frame)
    for (int y = 0; y < video.height; ++y)
      for (int x = 0; x < video.width; ++x)
        for (const uint8_t value : rgb(frame, y, x)) video.rgb.push_back(value);
  return video;
}
Video plain(int frames, uint8_t r, uint8_t g, uint8_t b) {
  return clip(frames, [=](int, int, int) { return std::array{r, g, b}; });
}
std::string flags(const Video& video) { return flags_of(measure_quality(video)); }

TEST(ClipQuality, MeasuresLumaOfBt709) {
  EXPECT_NEAR(measure_quality(plain(2, 255, 255, 255)).mean_luma, 255, 0.01);
  EXPECT_NEAR(measure_quality(plain(2, 255, 0, 0)).mean_luma, 0.2126 * 255, 0.01);
  EXPECT_NEAR(measure_quality(plain(2, 0, 255, 0)).mean_luma, 0.7152 * 255, 0.01);
  EXPECT_NEAR(measure_quality(plain(2, 0, 0, 255)).mean_luma, 0.0722 * 255, 0.01);
}

TEST(ClipQuality, CountsDarkPixels) {
  const Video video = clip(2, [](int, int, int x) {
    return x < 3 ? std::array<uint8_t, 3>{25, 25, 25} : std::array<uint8_t, 3>{26, 26, 26};
  });
  EXPECT_DOUBLE_EQ(measure_quality(video).dark_share, 0.3);
}

TEST(ClipQuality, CountsPixelsOfWhichTwoChannelsStandAtAnEndAndAreNotBlack) {
  const std::array<uint8_t, 3> colours[] = {{251, 251, 120}, {255, 4, 90}, {0, 0, 0}, {255, 5, 250}, {0, 0, 120}};
  const Video video = clip(1, [&](int, int, int x) { return colours[x / 2]; });
  EXPECT_DOUBLE_EQ(measure_quality(video).clipped_share, 0.4);
}

TEST(ClipQuality, MeasuresHowMuchNeighbouringFramesDiffer) {
  const Video video = clip(3, [](int frame, int, int) {
    return frame == 2 ? std::array<uint8_t, 3>{110, 110, 110} : std::array<uint8_t, 3>{100, 100, 100};
  });
  const ClipQuality quality = measure_quality(video);
  EXPECT_NEAR(quality.frame_difference, 5, 0.01) << "0 and 10 levels";
  EXPECT_DOUBLE_EQ(quality.still_share, 0.5);
}

TEST(ClipQuality, FlagsWhatIsBlackFrozenOrSaturated) {
  const auto moving = [](uint8_t ground, uint8_t shape) {
    return clip(9, [=](int frame, int, int x) {
      return x == frame ? std::array{shape, shape, shape} : std::array{ground, ground, ground};
    });
  };
  EXPECT_EQ(flags(moving(100, 200)), "");
  EXPECT_EQ(flags(moving(0, 20)), "black");
  EXPECT_EQ(flags(moving(0, 200)), "") << "a tenth of the picture is enough";
  EXPECT_EQ(flags(moving(255, 200)), "saturated");
  EXPECT_EQ(flags(plain(9, 100, 120, 140)), "frozen");
  EXPECT_EQ(flags(plain(9, 0, 0, 0)), "black,frozen");
  EXPECT_EQ(flags(plain(9, 255, 0, 255)), "frozen,saturated");
}

TEST(ClipQuality, IsFrozenWhereNineOfTenPairsOfFramesAreStill) {
  const auto jumps = [](int count) {
    return clip(11, [=](int frame, int, int) {
      const auto level = uint8_t(100 + 10 * std::min(frame, count));
      return std::array{level, level, level};
    });
  };
  EXPECT_EQ(flags(jumps(1)), "frozen");
  EXPECT_EQ(flags(jumps(2)), "");
}

TEST(ClipQuality, OfASingleFrameIsNeverFrozen) {
  const ClipQuality quality = measure_quality(plain(1, 100, 100, 100));
  EXPECT_EQ(flags_of(quality), "");
  EXPECT_EQ(quality.still_share, 0);
  EXPECT_EQ(quality.frame_difference, 0);
}

TEST(ClipQuality, FindsAFlagAmongOthers) {
  EXPECT_TRUE(has_flag("black,frozen", "black"));
  EXPECT_TRUE(has_flag("black,frozen", "frozen"));
  EXPECT_FALSE(has_flag("black,frozen", "saturated"));
  EXPECT_FALSE(has_flag("", "black"));
  EXPECT_FALSE(has_flag("blacker", "black"));
}

}  // namespace
}  // namespace pyracast
