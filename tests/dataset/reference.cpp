#include "dataset/reference.hpp"

#include <gmock/gmock.h>

#include <numeric>

#include "base/file.hpp"
#include "dataset/mp4.hpp"
#include "dataset/picture.hpp"
#include "tests/base/temporary_folder.hpp"

namespace pyracast {
namespace {

namespace fs = std::filesystem;

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

/// In levels of 255.
double mean_difference(const Reference& a, const Video& b) {
  EXPECT_EQ(a.pixels.size(), b.rgb.size());
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] * 255 - float(b.rgb[i]));
  return sum / double(a.pixels.size());
}

std::vector<bool> all_of(int frames, const std::string&) { return std::vector<bool>(size_t(frames), true); }

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

/// A pixel for each of three places, and the mean of all, of PyTorch's picture.
struct BilinearSize {
  int from_height, from_width, height, width;
  double mean;
  std::array<float, 3> first, middle, last;
};

TEST(BilinearlyFilling, GivesThePixelsOfPyTorch) {
  for (const BilinearSize& size : {
    BilinearSize{30, 40, 24, 16, 0.49667714, {0.309130f, 0.422855f, 0.536581f}, {0.538052f, 0.651777f, 0.765502f}, {0.433333f, 0.547059f, 0.660784f}},
    {30, 40, 48, 48, 0.50116348, {0.132108f, 0.245833f, 0.359559f}, {0.507797f, 0.621523f, 0.735248f}, {0.453186f, 0.566912f, 0.680637f}},
    {30, 40, 16, 24, 0.50348245, {0.124183f, 0.237908f, 0.351634f}, {0.560349f, 0.674074f, 0.787799f}, {0.678431f, 0.792156f, 0.905882f}},
    {9, 17, 24, 16, 0.62186595, {0.136645f, 0.250370f, 0.364096f}, {0.694118f, 0.807843f, 0.921569f}, {0.821612f, 0.578388f, 0.692113f}},
    {9, 17, 48, 48, 0.61619323, {0.096531f, 0.210256f, 0.323982f}, {0.705882f, 0.819608f, 0.933333f}, {0.908727f, 0.316397f, 0.132256f}},
    {9, 17, 16, 24, 0.60005459, {0.040719f, 0.154444f, 0.268170f}, {0.646034f, 0.759759f, 0.873485f}, {0.911242f, 0.539738f, 0.134771f}},
    {64, 64, 24, 16, 0.50251841, {0.546078f, 0.659804f, 0.773529f}, {0.594009f, 0.707734f, 0.821460f}, {0.676797f, 0.790523f, 0.402288f}},
    {64, 64, 48, 48, 0.50022151, {0.013617f, 0.127342f, 0.241068f}, {0.580937f, 0.694662f, 0.808388f}, {0.117210f, 0.230936f, 0.316776f}},
    {64, 64, 16, 24, 0.49319864, {0.797059f, 0.910784f, 0.187908f}, {0.594009f, 0.707734f, 0.821460f}, {0.425817f, 0.539543f, 0.653268f}},
    {3, 100, 24, 16, 0.69852942, {0.329167f, 0.442892f, 0.556618f}, {0.714170f, 0.827895f, 0.941621f}, {0.648039f, 0.761765f, 0.875490f}},
    {3, 100, 48, 48, 0.67538128, {0.314583f, 0.428309f, 0.542034f}, {0.711968f, 0.825693f, 0.939419f}, {0.506373f, 0.620098f, 0.733824f}},
    {3, 100, 16, 24, 0.65052395, {0.293099f, 0.406824f, 0.520550f}, {0.711826f, 0.825551f, 0.939277f}, {0.535625f, 0.649351f, 0.763076f}},
    {40, 1, 24, 16, 0.27124183, {0.957475f, 0.067279f, 0.181005f}, {0.462377f, 0.105515f, 0.219240f}, {0.026838f, 0.140564f, 0.254289f}},
    {40, 1, 48, 48, 0.27124165, {0.958700f, 0.078962f, 0.192688f}, {0.482229f, 0.104453f, 0.218178f}, {0.025612f, 0.128881f, 0.242606f}},
    {40, 1, 16, 24, 0.27124167, {0.789951f, 0.087990f, 0.201716f}, {0.472303f, 0.104984f, 0.218709f}, {0.194363f, 0.119853f, 0.233578f}},
    {480, 640, 24, 16, 0.50107827, {0.191176f, 0.304902f, 0.418627f}, {0.647059f, 0.509804f, 0.372549f}, {0.844118f, 0.706863f, 0.318627f}},
    {480, 640, 48, 48, 0.49996583, {0.663725f, 0.777451f, 0.640196f}, {0.481373f, 0.595098f, 0.708824f}, {0.450000f, 0.563725f, 0.677451f}},
    {480, 640, 16, 24, 0.49736620, {0.575490f, 0.689216f, 0.802941f}, {0.328213f, 0.302505f, 0.416230f}, {0.580720f, 0.694445f, 0.808171f}},
    {27, 34, 24, 16, 0.51937685, {0.232598f, 0.346324f, 0.460049f}, {0.173725f, 0.287451f, 0.401176f}, {0.090196f, 0.203922f, 0.317647f}},
    {27, 34, 48, 48, 0.50971912, {0.087386f, 0.201111f, 0.314837f}, {0.149679f, 0.263405f, 0.377130f}, {0.397908f, 0.511634f, 0.625359f}},
    {27, 34, 16, 24, 0.50409057, {0.095562f, 0.209288f, 0.323013f}, {0.184313f, 0.298039f, 0.411764f}, {0.254609f, 0.368335f, 0.482060f}},
       }) {
    const std::vector<float> filled = bilinearly_filling(formula(size.from_height, size.from_width), size.height, size.width);
    const std::string where = concat(size.from_height, " x ", size.from_width, " to ", size.height, " x ", size.width);
    ASSERT_EQ(filled.size(), size_t(size.height) * size_t(size.width) * 3) << where;
    EXPECT_NEAR(std::accumulate(filled.begin(), filled.end(), 0.0) / double(filled.size()), size.mean, 1e-6) << where;
    const auto expect = [&](int row, int column, const std::array<float, 3>& expected) {
      for (size_t c = 0; c < 3; ++c)
        EXPECT_NEAR(filled[size_t((row * size.width + column) * 3) + c], expected[c], 1e-5) << where << " at " << row << ", " << column;
    };
    expect(0, 0, size.first);
    expect(size.height / 2, size.width / 2, size.middle);
    expect(size.height - 1, size.width - 1, size.last);
  }
}

TEST(ReadReference, OfAPictureGivesItsPixelsAndTheHashOfTheFile) {
  const TemporaryFolder folder;
  const Video picture = soft(24, 32);
  write_atomically(folder / "a.ppm", ppm(picture));
  const Reference read = read_reference(folder / "a.ppm", 24, 32, all_of);
  EXPECT_EQ(read.frames, 1);
  EXPECT_EQ(mean_difference(read, picture), 0);
  EXPECT_EQ(read.sha256, sha256(ppm(picture)));
}

TEST(ReadReference, KnowsTheColoursOfAJpegFromThoseOfAVideo) {
  const TemporaryFolder folder;
  const Video picture = soft(64, 64);
  write_atomically(folder / "a.jpg", jpeg_of(picture));
  write_mp4(folder / "a.mp4", picture, {}, 1);
  for (const char* name : {"a.jpg", "a.mp4"}) EXPECT_LT(mean_difference(read_reference(folder / name, 64, 64, all_of), picture), 2) << name;
}

// Files and expectations by tests/tools/pillow_jpegs.py. What is left is libav's way of rounding in the cosine transform.
TEST(ReadReference, OfAJpegGivesThePixelsOfPillow) {
  const fs::path folder = TESTS_DIR "/data/jpeg";
  for (const char* name : {"444", "422", "420", "420_narrow", "420_progressive", "grey"}) {
    const Video expected = read_mp4(folder / concat(name, ".ppm"));
    const Reference read = read_reference(folder / concat(name, ".jpg"), expected.height, expected.width, all_of);
    EXPECT_LT(mean_difference(read, expected), 0.1) << name;
    for (size_t i = 0; i < expected.rgb.size(); ++i) ASSERT_NEAR(read.pixels[i] * 255, float(expected.rgb[i]), 3.01f) << name << " at " << i;
  }
}

TEST(ReadReference, FillsTheSizeWithEachWantedFrameOfAVideo) {
  const TemporaryFolder folder;
  Video video{3, 32, 48};
  for (const uint8_t level : {40, 120, 200}) video.rgb.insert(video.rgb.end(), 32 * 48 * 3, level);
  const fs::path file = folder / "a name: of a video.mp4";
  write_mp4(file, video, {}, 1);
  int told = 0;
  const Reference read = read_reference(file, 16, 16, [&](int frames, const std::string&) {
    told = frames;
    return std::vector<bool>{true, false, true};
  });
  EXPECT_EQ(told, 3);
  EXPECT_EQ(read.frames, 3);
  ASSERT_EQ(read.pixels.size(), size_t(2) * 16 * 16 * 3);
  EXPECT_NEAR(read.pixels.front() * 255, 40, 3);
  EXPECT_NEAR(read.pixels.back() * 255, 200, 3);
  const WantedFrames refuses = [](auto&&...) -> std::vector<bool> { throw Error("it is too short"); };
  EXPECT_EQ(error_of([&] { read_reference(file, 16, 16, refuses); }), "it is too short");
}

// One of a video is resized otherwise than a picture, and a picture has no second frame.
TEST(ReadReference, TellsAPictureByItsName) {
  const TemporaryFolder folder;
  const Video picture = formula(30, 40);
  for (const char* name : {"a.ppm", "a.PPM", "a.pnm"}) write_atomically(folder / name, ppm(picture));
  const auto pixels = [&](const char* name) { return read_reference(folder / name, 24, 16, all_of).pixels; };
  Video filled = filling(picture, 24, 16);
  EXPECT_EQ(mean_difference({1, pixels("a.ppm"), ""}, filled), 0);
  EXPECT_EQ(pixels("a.PPM"), pixels("a.ppm"));
  EXPECT_EQ(pixels("a.pnm"), bilinearly_filling(picture, 24, 16));
}

TEST(ReadReference, NamesAFileThatItCannotRead) {
  const TemporaryFolder folder;
  write_atomically(folder / "a.png", "no picture");
  write_atomically(folder / "empty.png", "");
  for (const char* name : {"a.png", "empty.png", "gone.png"})
    EXPECT_THAT(error_of([&] { read_reference(folder / name, 8, 8, all_of); }), AllOf(HasSubstr("a reference cannot be read: "), HasSubstr(name)));
  EXPECT_THAT(error_of([&] { read_reference(folder / "", 8, 8, all_of); }), HasSubstr("a reference cannot be read: "));
}

}  // namespace
}  // namespace pyracast
