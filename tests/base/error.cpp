#include <new>

#include "base/file.hpp"
#include "tests/base/support.hpp"

namespace pyracast {
namespace {

TEST(Error, JoinsThePartsOfItsMessage) {
  EXPECT_EQ(error_of([] { require(false, "x is ", std::vector<int64_t>{2, 3}, ", expected ", std::vector<int64_t>{}); }), "x is [2, 3], expected []");
  EXPECT_EQ(error_of([] { require(true, "x"); }), "no error");
}

TEST(Error, EndsTheProgramAsBadInputUnlessItSaysOtherwise) {
  EXPECT_EQ(Error("x").code, ExitCode::bad_input);
  EXPECT_EQ(Error("x", ExitCode::environment).code, ExitCode::environment);
}

TEST(Error, OfFilesNamesThemWithTheReasonAndAWayOut) {
  const TemporaryFolder folder;
  write_atomically(folder.path() / "file", "");
  const auto told = [](const std::filesystem::path& path) -> Error {
    try {
      std::filesystem::create_directories(path);
    } catch (const std::exception& error) {
      return as_error(error);
    }
    return Error("no error");
  };
  const std::string long_name(300, 'x');
  EXPECT_EQ(told(folder.path() / "file" / "below").what(), (folder.path() / "file" / "below").string() +
            ": cannot create directories: Not a directory (what should be a folder on the way to it is a file)");
  EXPECT_THAT(told(folder.path() / long_name).what(), testing::EndsWith(": File name too long (give it a shorter name)"));
  EXPECT_EQ(told(folder.path() / long_name).code, ExitCode::environment);
}

TEST(Error, OfOtherKindsSaysWhatTheySay) {
  EXPECT_STREQ(as_error(std::runtime_error("x")).what(), "x");
  EXPECT_EQ(as_error(std::bad_alloc()).code, ExitCode::environment);
  EXPECT_THAT(as_error(std::bad_alloc()).what(), testing::HasSubstr("memory is short"));
  EXPECT_EQ(as_error(Error("x", ExitCode::damaged)).code, ExitCode::damaged);
}

}  // namespace
}  // namespace pyracast
