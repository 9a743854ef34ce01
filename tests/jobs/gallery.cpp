// `pyracast gallery`: one page of the same videos made in several ways.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using nlohmann::json;

class MakeGallery : public GenerateTest {
 protected:
  void SetUp() override {
    GenerateTest::SetUp();
    if (Program({"gnuplot", "--version"}, folder / "log").wait().code != 0)
      GTEST_SKIP() << "gnuplot is not installed (package gnuplot-nox)";
  }
  /// With the demo's config, of two samples.
  Ended gallery(int ranks, const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{PYRACAST, "gallery", "--config", (fs::path(DEMO_SNAPSHOT).parent_path().parent_path() / "demo.cfg").string(),
                                   "--samples", "2", "--output", (folder / output).string()};
    if (ranks > 1) words.insert(words.begin(), {MPIEXEC, "-n", std::to_string(ranks)});
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  json figures(const std::string& output) const { return json::parse(read_text(folder / output / "gallery.json")); }
};

size_t count_of(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_F(MakeGallery, ShowsEachClipInEachWayAndSaysTheSameOnATeam) {
  const Ended alone = gallery(1, "alone"), together = gallery(2, "together");
  ASSERT_EQ(alone.code, 0) << alone.output;
  ASSERT_EQ(together.code, 0) << together.output;
  const std::string page = read_text(folder / "alone/index.html");
  EXPECT_EQ(count_of(page, "data:video/mp4;base64,"), 6u);
  EXPECT_THAT(page, AllOf(HasSubstr("<b>PAB</b><br><span class=\"soft\">demo-246.json: "),
                          HasSubstr("<b>tuned schedule</b><br><span class=\"soft\">demo-tuned-30-steps-at-cost-of-246.json: "),
                          HasSubstr("one rank sends nothing"), Not(HasSubstr("of the communication saved")), HasSubstr("spatial attention")));
  EXPECT_THAT(read_text(folder / "together/index.html"),
              AllOf(HasSubstr("of the communication saved by PAB"), HasSubstr("All-to-all of each evaluation")));
  const json one = figures("alone"), two = figures("together");
  EXPECT_EQ(one["clips"], two["clips"]) << "the videos are the same";
  for (size_t way = 0; way < 3; ++way) {
    EXPECT_EQ(one["ways"][way]["computed_share"], two["ways"][way]["computed_share"]);
    EXPECT_EQ(one["ways"][way]["bytes_sent"], 0);
    EXPECT_GT(two["ways"][way]["bytes_sent"], 0);
  }
  EXPECT_EQ(one["ways"][0]["computed_share"], 1);
  EXPECT_LT(one["ways"][1]["computed_share"], 0.7);
  EXPECT_LT(two["ways"][1]["bytes_sent"], two["ways"][0]["bytes_sent"]);
  std::vector<std::string> files;
  for (const auto& entry : fs::directory_iterator(folder / "alone")) files.push_back(entry.path().filename());
  EXPECT_THAT(files, ::testing::UnorderedElementsAre("index.html", "gallery.json"));
}

TEST_F(MakeGallery, SaysWhatCompareSaysOfTheSameFiles) {
  const auto prompts = manifest(1);
  const std::string broadcast = std::string(BROADCAST_PRESETS) + "/demo-579.json";
  ASSERT_EQ(gallery(1, "gallery", {"--prompts", prompts.string(), "--broadcast", broadcast, "--steps", "12"}).code, 0);
  for (const auto& [output, more] : std::map<std::string, std::vector<std::string>>{{"a", {}}, {"b", {"--broadcast", broadcast}}}) {
    std::vector<std::string> words{"--steps", "12", "--save", "frames", "--dtype", "float32"};   // as demo.cfg has it
    words.insert(words.end(), more.begin(), more.end());
    ASSERT_EQ(run(command(1, prompts, output, words)).code, 0);
  }
  ASSERT_EQ(run({PYRACAST, "compare", (folder / "a").string(), (folder / "b").string(), "--output", (folder / "page").string()}).code, 0);
  const json compared = json::parse(read_text(folder / "page/compare.json"))["samples"][0],
             shown = figures("gallery")["clips"][0]["against_the_first_way"][0];
  EXPECT_EQ(shown["psnr"], compared["psnr"]);
  EXPECT_EQ(shown["ssim"], compared["ssim"]);
}

TEST_F(MakeGallery, RefusesWhatItCannotShowAndWritesNothing) {
  const Ended other_steps = gallery(1, "out", {"--steps", "12"});
  EXPECT_EQ(other_steps.code, 64);
  EXPECT_THAT(other_steps.output, HasSubstr("a table of 30 steps"));
  EXPECT_THAT(gallery(1, "out", {"--broadcast", "none.json"}).output, HasSubstr("none.json"));
  const Ended no_files =
      run({PYRACAST, "gallery", "--snapshot", DEMO_SNAPSHOT, "--prompts", manifest(1).string(), "--output", (folder / "out").string()});
  EXPECT_EQ(no_files.code, 64);
  EXPECT_THAT(no_files.output, HasSubstr("give --broadcast FILE,FILE"));
  EXPECT_FALSE(fs::exists(folder / "out"));
}

}  // namespace
}  // namespace pyracast::testing
