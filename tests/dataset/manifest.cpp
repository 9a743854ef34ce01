#include "dataset/manifest.hpp"

#include "manifest_test.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

class ManifestFiles : public ManifestTest {
 protected:
  Manifest build(std::string_view content, const ManifestOptions& options = {}, const char* name = "x.jsonl") const {
    return Manifest::build(bytes_of(content), name, folder_, options);
  }
  static std::vector<std::string> texts(const Manifest& manifest) {
    std::vector<std::string> found;
    for (uint64_t i = 0; i < manifest.size(); ++i) found.push_back(manifest.row(i).text);
    return found;
  }
};

TEST_F(ManifestFiles, GiveTheRowsBackInOrder) {
  build("{\"prompt\": \"a\", \"samples\": 2}\n\n{\"prompt\": \"b\\nc\", \"seed\": 7}\n");
  const Manifest manifest(folder_);
  EXPECT_THAT(texts(manifest), ElementsAre("a", "b\nc"));
  EXPECT_EQ(manifest.row(1).seed, 7u);
  EXPECT_EQ(manifest.total_samples(), 3u);
  EXPECT_EQ(manifest.entry(1).first_sample, 2u);
  EXPECT_EQ(manifest.entry(1).line, 3u);
  EXPECT_EQ(manifest.entry(0).samples, 2u);
}

TEST_F(ManifestFiles, AreTheSameHoweverTheManifestIsWritten) {
  const std::string first = build("{\"steps\": 30, \"prompt\": \"a\"}\n").fingerprint();
  EXPECT_EQ(first.size(), 64u);
  EXPECT_EQ(build("prompt,steps\na,30\n", {}, "x.csv").fingerprint(), first);
  EXPECT_NE(build("prompt,steps\na,31\n", {}, "x.csv").fingerprint(), first);
}

TEST_F(ManifestFiles, FindAPromptByItsId) {
  std::string rows;
  for (int i = 0; i < 10000; ++i) rows += concat("{\"id\": \"p", i, "\", \"prompt\": \"a\"}\n");
  const Manifest manifest = build(rows);
  for (const int i : {0, 1, 4095, 9999}) EXPECT_EQ(manifest.find(concat("p", i)), uint64_t(i));
  EXPECT_EQ(manifest.find("p10000"), std::nullopt);
}

TEST_F(ManifestFiles, ListBadRowsAndKeepTheRest) {
  const Manifest manifest =
      build("{\"prompt\": \"a\"}\n{\"prompt\": \"x\xFF\"}\n{\"promt\": \"b\"}\n{\"prompt\": \"c\"}\n");
  EXPECT_THAT(texts(manifest), ElementsAre("a", "c"));
  EXPECT_EQ(manifest.rejected(), 2u);
  const auto bad = rejected();
  ASSERT_EQ(bad.size(), 2u);
  EXPECT_EQ(bad[0], (Json{{"line", 2}, {"reason", "not valid UTF-8 at byte 14"}, {"text", "{\"prompt\": \"x"}}));
  EXPECT_EQ(bad[1]["line"], 3);
  EXPECT_EQ(bad[1]["text"], "{\"promt\": \"b\"}");
}

TEST_F(ManifestFiles, LeaveNoListWhereNoRowIsBad) {
  build("{\"prompt\": \"a\"}\n{}\n");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "rejected.jsonl"));
  build("{\"prompt\": \"a\"}\n");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "rejected.jsonl"));
}

TEST_F(ManifestFiles, AreNotWrittenWhenStrictAndARowIsBad) {
  const std::string message =
      error_of([&] { build("{\"prompt\": \"a\"}\n{\"promt\": \"b\"}\n{\"prompt\": 1}\n", {.strict = true}); });
  EXPECT_THAT(message,
              AllOf(StartsWith("x.jsonl: 2 of 3 rows are wrong, and strict allows none; the first is line 2: unknown "
                               "column \"promt\"; the nearest known one is \"prompt\" (all: id, "), HasSubstr("; all are listed in ")));
  EXPECT_EQ(rejected().size(), 2u);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "work/manifest.index"));
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "work"));
}

TEST_F(ManifestFiles, NeedAtLeastOnePrompt) {
  EXPECT_EQ(error_of([&] { build("\n\n"); }), "x.jsonl: holds no prompt");
  EXPECT_THAT(error_of([&] { build("{}\n"); }), HasSubstr("1 of 1 row is wrong, so no prompt is left; the first is "
                                                          "line 1: prompt is missing"));
}

TEST_F(ManifestFiles, MergeEqualRows) {
  const Manifest manifest = build("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n{\"samples\": 1, \"prompt\": \"a\"}\n");
  EXPECT_THAT(texts(manifest), ElementsAre("a", "b"));
  EXPECT_EQ(manifest.merged(), 1u);
  EXPECT_EQ(manifest.rejected(), 0u);
}

TEST_F(ManifestFiles, RejectTheLaterOfTwoRowsWithOneId) {
  const Manifest manifest = build("\n{\"id\": \"x\", \"prompt\": \"a\"}\n{\"id\": \"x\", \"prompt\": \"b\"}\n");
  EXPECT_THAT(texts(manifest), ElementsAre("a"));
  EXPECT_EQ(rejected().at(0)["reason"],
            "the id \"x\" stands in line 2 already, with another row: prompt is \"a\" there and \"b\" here");
}

TEST_F(ManifestFiles, RejectWhatTheModelCannotMake) {
  const ManifestOptions options{.check = [](const Prompt& prompt) -> std::optional<std::string> {
    if (prompt.frames > 51) fail("frames is ", *prompt.frames, ", the model makes at most 51");
    if (prompt.steps == 1) return "one step is too few";
    return std::nullopt;
  }};
  const Manifest manifest =
      build("{\"prompt\": \"a\", \"frames\": 68}\n{\"prompt\": \"b\", \"steps\": 1}\n{\"prompt\": \"c\"}\n", options);
  EXPECT_THAT(texts(manifest), ElementsAre("c"));
  EXPECT_EQ(rejected().at(0)["reason"], "frames is 68, the model makes at most 51");
  EXPECT_EQ(rejected().at(1)["reason"], "one step is too few");
}

TEST_F(ManifestFiles, OrderPromptsByTheWorkOfAllTheirSamples) {
  const ManifestOptions options{.cost = [](const Prompt& prompt) { return double(prompt.steps.value_or(10)); }};
  const Manifest manifest = build(
      "{\"prompt\": \"a\"}\n{\"prompt\": \"b\", \"steps\": 30}\n"
      "{\"prompt\": \"c\", \"samples\": 4}\n{\"prompt\": \"d\"}\n",
      options);
  std::vector<std::string> order;
  for (uint64_t k = 0; k < manifest.size(); ++k) order.push_back(manifest.row(manifest.longest(k)).text);
  EXPECT_THAT(order, ElementsAre("c", "b", "a", "d"));
  EXPECT_EQ(manifest.entry(1).cost, 30);
}

TEST_F(ManifestFiles, ReplaceThoseOfAnotherManifestAndOfAKilledRun) {
  build("{\"prompt\": \"a\"}\n");
  write("work/manifest.rows.1.tmp", "half a r");
  EXPECT_THAT(texts(build("{\"prompt\": \"b\"}\n")), ElementsAre("b"));
  size_t files = 0;
  for ([[maybe_unused]] const auto& file : std::filesystem::directory_iterator(folder_ / "work")) ++files;
  EXPECT_EQ(files, 2u);
}

TEST_F(ManifestFiles, AreCheckedWhenOpened) {
  const auto opening = [&] { return error_of([&] { Manifest{folder_}; }); };
  EXPECT_THAT(opening(), HasSubstr("manifest.index: cannot be opened"));
  build("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n");
  const auto index = folder_ / "work/manifest.index";
  const std::string whole = read_file(index);

  write("work/manifest.index", whole.substr(0, whole.size() - 1));
  EXPECT_THAT(opening(), HasSubstr("expected 248 for 2 prompts; remove it"));
  write("work/manifest.index", "PYRA");
  EXPECT_THAT(opening(), HasSubstr("has 4 bytes, too few"));
  write("work/manifest.index", concat("X", whole.substr(1)));
  EXPECT_THAT(opening(), HasSubstr("is no index of prompts of this version"));

  write("work/manifest.index", whole);
  for (const auto& file : std::filesystem::directory_iterator(folder_ / "work"))
    if (file.path().extension() == ".jsonl") std::filesystem::resize_file(file.path(), 5);
  EXPECT_THAT(opening(), HasSubstr("has 5 bytes, expected"));
}

TEST_F(ManifestFiles, TellAReadOnlyFolder) {
  write("not-a-folder", "");
  EXPECT_THAT(error_of([&] { Manifest::build(bytes_of("a\n"), "x.txt", folder_ / "not-a-folder"); }),
              HasSubstr("cannot be made"));
}

}  // namespace
}  // namespace pyracast
