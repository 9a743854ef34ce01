#include "dataset/picture.hpp"

#include <gmock/gmock.h>

namespace pyracast {
namespace {

using testing::ElementsAre;

/// Frame n has the level 10 * n, and 100 more in its right half.
Video ramp(int frames, int height, int width) {
  Video video{frames, height, width, 8, {}};
  for (int frame = 0; frame < frames; ++frame)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (int c = 0; c < 3; ++c) video.rgb.push_back(uint8_t(10 * frame + (x >= width / 2 ? 100 : 0)));
  return video;
}

TEST(FilmStrip, ShowsTheFirstTheLastAndFramesBetweenSideBySide) {
  const Video strip = film_strip(ramp(9, 2, 2), 3, 100);
  EXPECT_EQ(strip.frames, 1);
  EXPECT_EQ(strip.height, 2);
  EXPECT_EQ(strip.width, 8);
  std::vector<int> row;
  for (int x = 0; x < 8; ++x) row.push_back(strip.rgb[size_t(3 * x)]);
  EXPECT_THAT(row, ElementsAre(0, 100, 255, 40, 140, 255, 80, 180));
}

TEST(FilmStrip, MakesLargeFramesSmallerByMeans) {
  const Video strip = film_strip(ramp(1, 60, 90), 5, 3);
  EXPECT_EQ(strip.height, 2);
  EXPECT_EQ(strip.width, 3);
  EXPECT_THAT(strip.rgb, ElementsAre(0, 0, 0, 50, 50, 50, 100, 100, 100, 0, 0, 0, 50, 50, 50, 100, 100, 100));
}

TEST(FilmStrip, OfAShortClipHasEachFrameOnce) { EXPECT_EQ(film_strip(ramp(2, 4, 4), 5, 100).width, 9); }

TEST(Jpeg, IsAWholeFileAndTheSameEachTime) {
  const Video strip = film_strip(ramp(9, 17, 33), 5, 100);
  const std::string jpeg = jpeg_of(strip);
  EXPECT_EQ(jpeg.substr(0, 3), "\xff\xd8\xff");
  EXPECT_EQ(jpeg.substr(jpeg.size() - 2), "\xff\xd9");
  EXPECT_EQ(jpeg_of(strip), jpeg);
}

}  // namespace
}  // namespace pyracast
