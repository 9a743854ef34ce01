#include <gmock/gmock.h>

#include <algorithm>
#include <cstdio>

#include "base/error.hpp"
#include "base/file.hpp"
#include "dataset/layout.hpp"
#include "tests/base/temporary_folder.hpp"

namespace pyracast {
namespace {

using testing::MatchesRegex;

TEST(Layout, ASafeIdIsItsOwnName) {
  EXPECT_EQ(safe_name("clip-0.1_red"), "clip-0.1_red");
  EXPECT_EQ(safe_name(std::string(100, 'x')), std::string(100, 'x'));
}

TEST(Layout, AnUnsafeIdGetsAReadablePartAndAHash) {
  EXPECT_THAT(safe_name("../etc/passwd"), MatchesRegex("_etc_passwd-[0-9a-f]{16}"));
  EXPECT_THAT(safe_name(""), MatchesRegex("id-[0-9a-f]{16}"));
  EXPECT_THAT(safe_name("."), MatchesRegex("id-[0-9a-f]{16}"));
  EXPECT_THAT(safe_name("Größe 1"), MatchesRegex("Gr_e_1-[0-9a-f]{16}"));
  EXPECT_EQ(safe_name(std::string(5000, 'x')).size(), 77u);
}

TEST(Layout, IdsThatDifferInCaseOnlyDifferAlsoWhereCaseIsFolded) {
  EXPECT_EQ(safe_name("red"), "red");
  EXPECT_THAT(safe_name("RED"), MatchesRegex("RED-[0-9a-f]{16}"));
  EXPECT_NE(safe_name("RED").substr(4), safe_name("Red").substr(4));
}

TEST(Layout, VideosFanOutByTheHashOfTheIdAndSampleZeroHasNoSuffix) {
  EXPECT_THAT(video_path("red", 0), MatchesRegex("videos/[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/red\\.mp4"));
  EXPECT_EQ(video_path("red", 12), video_path("red", 0).substr(0, 16) + "_12.mp4");
}

TEST(Layout, AnIdNeverTakesTheNameOfAnotherIdsSample) {
  // Looks for an id whose sample n would fall on the path of the id "<id>_<n>": one in 65536 shares the folders.
  int found = 0;
  for (int i = 0; i < 300000 && found == 0; ++i) {
    const std::string stem = concat("p", i), id = concat(stem, "_1");
    if (sha256(stem).substr(0, 4) != sha256(id).substr(0, 4)) continue;
    ++found;
    EXPECT_NE(video_path(stem, 1), video_path(id, 0));
  }
  EXPECT_EQ(found, 1);
}

TEST(Layout, AnIdThatLooksLikeAHashedNameOfItsOwnFolderIsHashedItself) {
  int found = 0;
  for (int i = 0; i < 1000000 && found == 0; ++i) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016x", i * 7919u);
    std::rotate(digits, digits + 12, digits + 16);
    const std::string id = concat("x-", digits);
    if (!sha256(id).starts_with(std::string(digits, 4))) continue;
    ++found;
    EXPECT_NE(safe_name(id), id);
  }
  EXPECT_EQ(found, 1);
}

TEST(Layout, QuarantineKeepsFilesOfTheSameName) {
  const TemporaryFolder folder;
  const OutputLayout layout{folder.path()};
  for (int i = 0; i < 2; ++i) {
    write_atomically(folder.path() / "a.h5", std::to_string(i));
    move_to_quarantine(layout, folder.path() / "a.h5");
  }
  EXPECT_EQ(read_file(layout.quarantine() / "a.h5"), "0");
  EXPECT_EQ(read_file(layout.quarantine() / "a.h5.1"), "1");
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "a.h5"));
}

}  // namespace
}  // namespace pyracast
