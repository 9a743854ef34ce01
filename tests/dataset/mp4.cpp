#include "dataset/mp4.hpp"

#include <gmock/gmock.h>

#include <cstdio>

#include "base/error.hpp"
#include "base/file.hpp"
#include "tests/base/temporary_folder.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;

/// A coloured slope that moves.
Video slope(int frames, int height, int width, double fps = 24) {
  Video video{frames, height, width, fps, {}};
  for (int f = 0; f < frames; ++f)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (const int value : {x * 4 + f * 2, y * 4, 128 + f}) video.rgb.push_back(uint8_t(std::min(value, 255)));
  return video;
}

double mean_difference(const Video& a, const Video& b) {
  double sum = 0;
  for (size_t i = 0; i < a.rgb.size(); ++i) sum += std::abs(int(a.rgb[i]) - int(b.rgb[i]));
  return sum / double(a.rgb.size());
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen(command.c_str(), "r");
  for (int c; (c = std::fgetc(pipe)) != EOF;) text += char(c);
  EXPECT_EQ(::pclose(pipe), 0) << command;
  return text;
}

TEST(Mp4, GivesBackNearlyThePixelsItWasGiven) {
  const TemporaryFolder folder;
  const Video video = slope(9, 48, 64, 23.976);
  write_mp4(folder.path() / "a.mp4", video, {}, 10);
  const Video read = read_mp4(folder.path() / "a.mp4");
  EXPECT_EQ(read.frames, 9);
  EXPECT_EQ(read.height, 48);
  EXPECT_EQ(read.width, 64);
  EXPECT_DOUBLE_EQ(read.fps, 24000. / 1001);
  EXPECT_LT(mean_difference(video, read), 2.0);
}

TEST(Mp4, OneFrameOfOddSizeIsPaddedByItsLastRowAndColumn) {
  const TemporaryFolder folder;
  write_mp4(folder.path() / "a.mp4", slope(1, 33, 41), {}, 5);
  const Video read = read_mp4(folder.path() / "a.mp4"), wide = slope(1, 34, 42);
  EXPECT_EQ(read.frames, 1);
  ASSERT_EQ(read.height, 34);
  ASSERT_EQ(read.width, 42);
  EXPECT_LT(mean_difference(wide, read), 3.0);
  const size_t last = (size_t(20) * 42 + 41) * 3;
  EXPECT_NEAR(read.rgb[last], read.rgb[last - 3], 4);
}

TEST(Mp4, IsTheSameBytesOnEveryRunWhateverItsName) {
  const TemporaryFolder folder;
  for (const char* name : {"a.mp4", "another.mp4"})
    write_mp4(folder.path() / name, slope(30, 64, 80), {{"prompt", "a red square"}, {"seed", "7"}}, 18);
  EXPECT_EQ(read_file(folder.path() / "a.mp4"), read_file(folder.path() / "another.mp4"));
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "a.mp4.tmp"));
}

TEST(Mp4, FfprobeSeesH264AndTheMetadataAndNoTime) {
  const TemporaryFolder folder;
  const std::string prompt = "Ein Würfel = \"rot\"\nund " + std::string(100000, 'x');
  write_mp4(folder.path() / "a.mp4", slope(5, 32, 32, 8), {{"prompt", prompt}, {"seed", "7"}}, 18);
  const std::string report = output_of("ffprobe -v error -count_frames -show_streams -show_format -of json " +
                                       (folder.path() / "a.mp4").string());
  for (const char* expected : {"\"codec_name\": \"h264\"", "\"pix_fmt\": \"yuv420p\"", "\"nb_read_frames\": \"5\"",
                               "\"avg_frame_rate\": \"8/1\"", "\"seed\": \"7\"", "Würfel = \\\"rot\\\"\\nund xxx"})
    EXPECT_THAT(report, HasSubstr(expected));
  EXPECT_THAT(report, testing::Not(HasSubstr("creation_time")));
  EXPECT_GT(report.size(), 100000u);
}

TEST(Mp4, AVideoWithoutFramesIsRefusedWithItsSizes) {
  EXPECT_THAT([] { write_mp4("a.mp4", Video{0, 4, 4, 24, {}}, {}, 18); },
              testing::ThrowsMessage<Error>(HasSubstr("a.mp4.tmp: the video has 0 frames of 4 x 4")));
}

TEST(Mp4, AFileThatIsNoVideoIsNamed) {
  const TemporaryFolder folder;
  write_atomically(folder.path() / "a.mp4", "not a video");
  EXPECT_THAT([&] { read_mp4(folder.path() / "a.mp4"); }, testing::ThrowsMessage<Error>(HasSubstr("a.mp4: opening failed")));
}

}  // namespace
}  // namespace pyracast
