// Videos that begin with pictures, from the manifest to the dataset and back.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class References : public GenerateTest {
 protected:
  /// A picture of 20 x 10 pixels, one colour.
  fs::path picture(const std::string& name, char level) const {
    fs::create_directories((folder / name).parent_path());
    return file(name, "P6\n20 10\n255\n" + std::string(20 * 10 * 3, level));
  }
  fs::path prompts() const {
    picture("manifests/pictures/dark.ppm", 20);
    picture("manifests/pictures/bright.ppm", 100);
    return file("manifests/prompts.jsonl", R"({"id": "a", "prompt": "a red circle", "reference_path": "pictures/dark.ppm"}
{"id": "b", "prompt": "a red circle", "reference_path": "pictures/bright.ppm", "mask_strategy": "0,0,0,0,1,0.2", "samples": 2}
{"id": "c", "prompt": "a red circle {\"reference_path\": \"pictures/dark.ppm\", \"mask_strategy\": \"0\"}"}
{"id": "d", "prompt": "a red circle"}
)");
  }
  std::vector<std::string> generate(int ranks, const fs::path& rows, const std::string& output, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"--mask-strategy", "0"});
    return command(ranks, rows, output, more);
  }
};

TEST_F(References, MakeTheSameBytesOnOneRankAndOnTeamsAndAgain) {
  const Ended alone = run(generate(1, prompts(), "alone"));
  ASSERT_EQ(alone.code, 0) << alone.output;
  const auto expected = content_of(folder / "alone");
  EXPECT_EQ(expected.size(), 2 * 5u);
  ASSERT_EQ(run(generate(2, prompts(), "team", {"--ranks-per-video", "2"})).code, 0);
  EXPECT_EQ(content_of(folder / "team"), expected);
  EXPECT_THAT(run(generate(1, prompts(), "alone")).output, HasSubstr("(5 were there)"));
  const Ended again = run({PYRACAST, "reproduce", "--output", (folder / "alone").string(), "--count", "9"});
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("5 of 5 samples are equal"));
}

TEST_F(References, MakeTheSameBytesOnATeamWithNoiseOfPyTorchToo) {
  ASSERT_EQ(run(generate(1, prompts(), "alone", {"--noise", "torch"})).code, 0);
  ASSERT_EQ(run(generate(2, prompts(), "team", {"--noise", "torch", "--ranks-per-video", "2"})).code, 0);
  const auto expected = content_of(folder / "alone");
  EXPECT_EQ(expected.size(), 2 * 5u);
  EXPECT_EQ(content_of(folder / "team"), expected);
}

TEST_F(References, AreFoundWhereverTheyHaveMovedAndKnownWhenTheyHaveChanged) {
  ASSERT_EQ(run(generate(1, prompts(), "out")).code, 0);
  fs::rename(folder / "manifests", folder / "moved");
  std::vector<std::string> again{PYRACAST, "reproduce", "--output", (folder / "out").string(), "--id", "a"};
  EXPECT_THAT(run(again).output, AllOf(HasSubstr("DIFFERS"), HasSubstr("it failed: a reference cannot be read"), HasSubstr("pictures/dark.ppm")));
  again.insert(again.end(), {"--references", (folder / "moved").string()});
  EXPECT_THAT(run(again).output, HasSubstr("1 of 1 sample is equal"));
  picture("moved/pictures/dark.ppm", 21);
  EXPECT_THAT(run(again).output, AllOf(HasSubstr("DIFFERS"), HasSubstr("settings")));
  fs::rename(folder / "moved", folder / "manifests");
  const fs::path rows = folder / "manifests/prompts.jsonl";
  EXPECT_EQ(run(generate(1, rows, "out")).code, 0);
  const Ended checked = run(generate(1, rows, "out", {"--check-files", "true"}));
  EXPECT_EQ(checked.code, 65);
  EXPECT_THAT(checked.output, AllOf(HasSubstr("2 finished samples"), HasSubstr("a sample 0: the SHA-256 of pictures/dark.ppm was")));
  EXPECT_EQ(run(generate(1, rows, "out", {"--check-files", "true", "--on-change", "only-new"})).code, 0);
  EXPECT_EQ(run(generate(1, rows, "out", {"--check-files", "true", "--on-change", "only-new"})).code, 0);
}

TEST_F(References, ThatAreNotThereFailAndCanBeMadeLater) {
  const fs::path rows = prompts(), lost = folder / "manifests/pictures/bright.ppm";
  fs::rename(lost, folder / "kept.ppm");
  const Ended checked = run({PYRACAST, "validate", "--snapshot", DEMO_SNAPSHOT, "--prompts", rows.string(), "--mask-strategy", "0"});
  EXPECT_EQ(checked.code, 1);
  EXPECT_THAT(checked.output, AllOf(HasSubstr("line 2"), HasSubstr("bright.ppm, which is no file that is there"), HasSubstr("1 is refused")));
  EXPECT_EQ(run(generate(1, rows, "out")).code, 3);
  const Ended status = run({PYRACAST, "status", "--output", (folder / "out").string()});
  EXPECT_THAT(status.output, AllOf(HasSubstr("failed 2: a reference cannot be read"), HasSubstr("bright.ppm")));
  fs::rename(folder / "kept.ppm", lost);
  ASSERT_EQ(run({PYRACAST, "retry", "--output", (folder / "out").string(), "--class", "reference"}).code, 0);
  ASSERT_EQ(run(generate(1, rows, "out")).code, 0);
  ASSERT_EQ(run(generate(1, rows, "whole")).code, 0);
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "whole"));
}

TEST_F(References, ThatCannotBeAreRefusedRowByRow) {
  const fs::path rows = file("prompts.jsonl", R"({"id": "a", "prompt": "a star", "reference_path": "a.ppm", "mask_strategy": "0,1"}
{"id": "b", "prompt": "a star", "mask_strategy": "0"}
{"id": "c", "prompt": "a star {\"reference_path\": 3}"}
{"id": "d", "prompt": "a star"}
)");
  ASSERT_EQ(run(command(1, rows, "out")).code, 0);
  EXPECT_THAT(read_text(folder / "out/rejected.jsonl"),
              AllOf(HasSubstr("names reference 1"), HasSubstr("reference_path has 0"), HasSubstr("each a text"), Not(HasSubstr("\"line\":4"))));
  const fs::path one = file("one.jsonl", R"({"id": "a", "prompt": "a star", "reference_path": "a.ppm", "mask_strategy": "0"})");
  EXPECT_THAT(run({PYRACAST, "validate", "--model", "null", "--prompts", one.string()}).output, HasSubstr("only Open-Sora v1.2 takes frames"));
}

}  // namespace

}  // namespace pyracast::testing
