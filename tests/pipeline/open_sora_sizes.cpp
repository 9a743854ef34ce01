#include "pipeline/open_sora_sizes.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::HasSubstr;

TEST(OpenSoraSizes, GivesThePublishedSizes) {
  EXPECT_EQ(image_size("480p", "9:16"), (ImageSize{480, 854}));
  EXPECT_EQ(image_size("480p", "16:9"), (ImageSize{854, 480}));
  EXPECT_EQ(image_size("144p", "1:1"), (ImageSize{192, 192}));
  EXPECT_EQ(image_size("720p", "9:16"), (ImageSize{720, 1280}));
}

TEST(OpenSoraSizes, EveryVideoResolutionHasEveryNamedRatio) {
  for (const char* resolution : {"144p", "240p", "360p", "480p", "720p", "1080p", "2k", "4k"})
    for (const NamedRatio& ratio : named_ratios()) EXPECT_NO_THROW(image_size(resolution, ratio.name)) << resolution << ratio.name;
}

TEST(OpenSoraSizes, EverySizeIsNearItsResolutionsAreaAndRatio) {
  for (const Resolution& resolution : resolutions())
    for (const RatioSize& entry : resolution.ratios) {
      EXPECT_NEAR(double(entry.size.height * entry.size.width) / double(resolution.area), 1, 0.13) << resolution.name << entry.ratio;
      EXPECT_NEAR(double(entry.size.height) / double(entry.size.width), std::stod(std::string(entry.ratio)), 0.1) << resolution.name << entry.ratio;
    }
}

TEST(OpenSoraSizes, NamesWhatExistsWhenItRefuses) {
  EXPECT_THAT(error_of([] { image_size("481p", "9:16"); }), AllOf(HasSubstr("\"481p\""), HasSubstr("144p, 256, 240p")));
  EXPECT_THAT(error_of([] { image_size("480p", "16x9"); }), AllOf(HasSubstr("\"16x9\""), HasSubstr("9:16")));
  EXPECT_THAT(error_of([] { image_size("512", "9:16"); }), AllOf(HasSubstr("512"), HasSubstr("9:16"), HasSubstr("480p")));
  EXPECT_THAT(error_of([] { frame_count("4 s"); }), AllOf(HasSubstr("\"4 s\""), HasSubstr("4s")));
  EXPECT_THAT(error_of([] { frame_count(""); }), HasSubstr("expected a number"));
}

TEST(OpenSoraSizes, ReadsFramesByNameAndNumber) {
  EXPECT_EQ(frame_count("2s"), 51);
  EXPECT_EQ(frame_count("4s"), 102);
  EXPECT_EQ(frame_count("16s"), 408);
  EXPECT_EQ(frame_count("33"), 33);
}

TEST(OpenSoraSizes, FindsTheNearestRatio) {
  EXPECT_EQ(closest_ratio(480, 854, "480p"), "0.56");
  EXPECT_EQ(closest_ratio(1, 1, "480p"), "1.00");
  EXPECT_EQ(closest_ratio(10000, 1, "480p"), "2.08");
}

}  // namespace
}  // namespace pyracast
