#include "program.hpp"

#include <gmock/gmock.h>

#include <csignal>

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Report : public GenerateTest {
 protected:
  void SetUp() override {
    GenerateTest::SetUp();
    if (Program({"gnuplot", "--version"}, folder / "log").wait().code != 0)
      GTEST_SKIP() << "gnuplot is not installed (package gnuplot-nox)";
  }
  Ended report(std::vector<std::string> more = {}) const {
    std::vector<std::string> command{PYRACAST, "report", "--output", (folder / "out").string()};
    command.insert(command.end(), more.begin(), more.end());
    return run(command);
  }
};

TEST_F(Report, WritesAPageAndACardAndLeavesTheDatasetAsItIs) {
  const auto broadcast = file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900]})");
  ASSERT_EQ(run(command(2, manifest(2), "out", {"--broadcast", broadcast.string(), "--ranks-per-video", "2"})).code, 0);
  const auto before = content_of(folder / "out");
  const Ended ended = report();
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(read_text(folder / "out" / "report.html"),
              AllOf(HasSubstr("videos of 3 asked for"), HasSubstr("all-to-all sent"), HasSubstr("data:image/jpeg;base64,")));
  EXPECT_THAT(read_text(folder / "out" / "README.md"),
              AllOf(HasSubstr("| videos | 3 of 3 asked for, 0 failed |"), HasSubstr("\"spatial_range\": 2")));
  EXPECT_EQ(content_of(folder / "out"), before);
  EXPECT_EQ(run(command(2, manifest(2), "out", {"--broadcast", broadcast.string(), "--ranks-per-video", "2"})).code, 0)
      << "generate does not mind them";
}

TEST_F(Report, TellsOfAJobThatWasKilled) {
  Program program(command(0, manifest(8), "out", {"--steps", "60"}), folder / "killed.log");
  ASSERT_TRUE(eventually([&] {
    return fs::exists(folder / "out" / "journal" / "team-0.journal") &&
           fs::file_size(folder / "out" / "journal" / "team-0.journal") > 1000;
  }));
  program.signal_all(SIGKILL);
  program.wait();
  const Ended ended = report({"--html", (folder / "page.html").string(), "--card", "false"});
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(read_text(folder / "page.html"), AllOf(HasSubstr("no run has come to its end"), HasSubstr("videos of 11 asked for"),
                                                     HasSubstr("data:image/jpeg;base64,")));
  EXPECT_FALSE(fs::exists(folder / "out" / "report.html"));
  EXPECT_FALSE(fs::exists(folder / "out" / "README.md"));
}

TEST_F(Report, LeavesACardThatIsTheUsersOwn) {
  ASSERT_EQ(run(command(0, manifest(1), "out")).code, 0);
  ASSERT_EQ(report().code, 0);
  ASSERT_EQ(report().code, 0) << "its own it makes anew";
  file("out/README.md", "---\nlicense: cc-by-4.0\n---\nmine\n");
  const Ended ended = report();
  EXPECT_EQ(ended.code, 0);
  EXPECT_THAT(ended.output, HasSubstr("was left as it is"));
  EXPECT_THAT(read_text(folder / "out" / "README.md"), HasSubstr("cc-by-4.0"));
}

TEST_F(Report, RefusesWhatIsNoDataset) {
  fs::create_directories(folder / "out");
  const Ended ended = report();
  EXPECT_EQ(ended.code, 64);
  EXPECT_THAT(ended.output, AllOf(HasSubstr("holds neither shards/ nor journal/"), Not(HasSubstr("report.html"))));
  EXPECT_EQ(run({PYRACAST, "report"}).code, 64);
}

}  // namespace

}  // namespace pyracast::testing
