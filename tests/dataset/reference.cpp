#include "dataset/reference.hpp"

#include <gmock/gmock.h>

#include "base/file.hpp"
#include "dataset/mp4.hpp"
#include "dataset/picture.hpp"
#include "tests/base/temporary_folder.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

/// As tests/tools/pillow_sizes.py makes it.
Video formula(int height, int width) {
  Video video{1, height, width};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < 3; ++c) video.rgb.push_back(uint8_t((x * 7 + y * 13 + c * 29 + x * y % 17 * 5) % 256));
  return video;
}

/// Colours that change slowly, as photographs' do.
Video soft(int height, int width) {
  Video video{1, height, width};
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (const int value : {x * 3, 255 - y * 3, 100 + x - y}) video.rgb.push_back(uint8_t(std::clamp(value, 0, 255)));
  return video;
}

double mean_difference(const Video& a, const Video& b) {
  EXPECT_EQ(a.rgb.size(), b.rgb.size());
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(int(a.rgb[i]) - int(b.rgb[i]));
  return sum / double(a.rgb.size());
}

std::string ppm(const Video& video) {
  return concat("P6\n", video.width, " ", video.height, "\n255\n", std::string(video.rgb.begin(), video.rgb.end()));
}

struct Size {
  int from_height, from_width, height, width;
  const char* sha256;   // the first 16 digits, of Pillow's pixels
};

TEST(Filling, GivesThePixelsOfPillow) {
  for (const Size& size : {
    Size{30, 40, 24, 16, "81e730845a64b9a2"}, {30, 40, 48, 48, "7cc6dc233ae1e97d"},
    {30, 40, 8, 8, "5d9aac7428bb01eb"}, {30, 40, 64, 85, "177a8e1117f76dc1"},
    {9, 17, 24, 16, "c5d7ab80e56aa204"}, {9, 17, 48, 48, "ba2411b3d29021a6"},
    {9, 17, 8, 8, "cb2540e35023eb92"}, {9, 17, 64, 85, "9ae4cb1b5e9a46a3"},
    {64, 64, 24, 16, "998eb8ee845855d4"}, {64, 64, 48, 48, "5477b4cdf7b39c9e"},
    {64, 64, 8, 8, "d58b455d4e1552d5"}, {64, 64, 64, 85, "1f5f47d3344e1177"},
    {50, 31, 24, 16, "a4a16c6fbee85a28"}, {50, 31, 48, 48, "7493a537931e559b"},
    {50, 31, 8, 8, "5a756e003fd2f4d4"}, {50, 31, 64, 85, "3ec14e7c4595938a"},
    {3, 100, 24, 16, "208a14992ffa4a1d"}, {3, 100, 48, 48, "911afb5a659bdea5"},
    {3, 100, 8, 8, "e0c0a9b34cede101"}, {3, 100, 64, 85, "cbb7032bfd5f49a8"},
    {40, 1, 24, 16, "8963be4a07f9b1eb"}, {40, 1, 48, 48, "d04cebff0bff1e75"},
    {40, 1, 8, 8, "f9d9c887c80f6236"}, {40, 1, 64, 85, "d7184f428d11d341"},
    {480, 640, 24, 16, "0fed27b0d28580f0"}, {480, 640, 48, 48, "72ac8c3718f4d1b3"},
    {480, 640, 8, 8, "d877cb340b5bf701"}, {480, 640, 64, 85, "f9306592d3b398e1"},
    {48, 85, 24, 16, "5fa0180fa733f21b"}, {48, 85, 48, 48, "4c16d5518e36c68d"},
    {48, 85, 8, 8, "7c6a756355f35cf2"}, {48, 85, 64, 85, "d2dda893479e6ef0"},
       }) {
    const Video filled = filling(formula(size.from_height, size.from_width), size.height, size.width);
    EXPECT_EQ(filled.height, size.height);
    EXPECT_EQ(filled.width, size.width);
    EXPECT_EQ(sha256(std::as_bytes(std::span(filled.rgb))).substr(0, 16), size.sha256)
        << size.from_height << " x " << size.from_width << " to " << size.height << " x " << size.width;
  }
}

TEST(Filling, ComputesOnlyWhatIsSeenOfALongNarrowPicture) {
  Video line{1, 100000, 1};
  line.rgb.assign(300000, 7);
  const Video filled = filling(line, 480, 854);   // 85 million rows, if all were made
  EXPECT_EQ(filled.rgb, std::vector<uint8_t>(size_t(480) * 854 * 3, 7));
  EXPECT_THAT(error_of([] { filling(Video{1, 2'000'000'000, 1}, 480, 854); }), HasSubstr("too narrow to fill 480 x 854"));
}

TEST(ReadReference, OfAPictureGivesItsPixelsAndTheHashOfTheFile) {
  const TemporaryFolder folder;
  const Video picture = soft(24, 32);
  write_atomically(folder / "a.ppm", ppm(picture));
  const Reference read = read_reference(folder / "a.ppm", 24, 32, 1);
  EXPECT_EQ(read.video.frames, 1);
  EXPECT_EQ(read.video.rgb, picture.rgb);
  EXPECT_EQ(read.sha256, sha256(ppm(picture)));
}

TEST(ReadReference, KnowsTheColoursOfAJpegFromThoseOfAVideo) {
  const TemporaryFolder folder;
  const Video picture = soft(64, 64);
  write_atomically(folder / "a.jpg", jpeg_of(picture));
  write_mp4(folder / "a.mp4", picture, {}, 1);
  for (const char* name : {"a.jpg", "a.mp4"}) EXPECT_LT(mean_difference(read_reference(folder / name, 64, 64, 1).video, picture), 2) << name;
}

TEST(ReadReference, FillsTheSizeWithEachFrameOfAVideo) {
  const TemporaryFolder folder;
  Video video = soft(32, 48);
  video.frames = 3;
  for (int copy = 0; copy < 2; ++copy) video.rgb.insert(video.rgb.end(), video.rgb.begin(), video.rgb.begin() + 32 * 48 * 3);
  write_mp4(folder / "a name: of a video.mp4", video, {}, 1);
  const Reference read = read_reference(folder / "a name: of a video.mp4", 16, 16, 3);
  EXPECT_EQ(read.video.frames, 3);
  EXPECT_EQ(read.video.rgb.size(), size_t(3) * 16 * 16 * 3);
  EXPECT_THAT(error_of([&] { read_reference(folder / "a name: of a video.mp4", 16, 16, 2); }),
              AllOf(HasSubstr("a reference cannot be read: "), HasSubstr("more than 2 frames"), HasSubstr("cut it")));
}

TEST(ReadReference, NamesAFileThatItCannotRead) {
  const TemporaryFolder folder;
  write_atomically(folder / "a.png", "no picture");
  write_atomically(folder / "empty.png", "");
  for (const char* name : {"a.png", "empty.png", "gone.png"})
    EXPECT_THAT(error_of([&] { read_reference(folder / name, 8, 8, 1); }), AllOf(HasSubstr("a reference cannot be read: "), HasSubstr(name)));
  EXPECT_THAT(error_of([&] { read_reference(folder / "", 8, 8, 1); }), HasSubstr("a reference cannot be read: "));
}

}  // namespace
}  // namespace pyracast
