#include "text/prompt.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Decorate, AppendsTheHintsThatAreGivenInTheirOrder) {
  EXPECT_EQ(decorate("a cat", {}), "a cat");
  EXPECT_EQ(decorate("a cat", {.aesthetic = 6.5}), "a cat aesthetic score: 6.5.");
  EXPECT_EQ(decorate("a cat", {.motion = 5}), "a cat motion score: 5.0.");
  EXPECT_EQ(decorate("a cat", {.camera = "pan left"}), "a cat camera motion: pan left.");
  EXPECT_EQ(decorate("a cat", {.aesthetic = 6.55, .motion = 0, .camera = "static"}),
            "a cat aesthetic score: 6.5. motion score: 0.0. camera motion: static.");
}

TEST(Decorate, KeepsAHintThatThePromptHasAlready) {
  EXPECT_EQ(decorate("a cat, aesthetic score: 5", {.aesthetic = 6.5, .motion = 2}), "a cat, aesthetic score: 5 motion score: 2.0.");
  EXPECT_EQ(decorate("motion score: 1. camera motion: zoom.", {.motion = 2, .camera = "pan"}),
            "motion score: 1. camera motion: zoom.");
  EXPECT_EQ(decorate("a cat", {.camera = "aesthetic score: 9"}), "a cat camera motion: aesthetic score: 9.");
}

TEST(Segments, GiveEachLoopItsText) {
  const PromptSegments segments = split_segments("|0| a cat |2| a dog ");
  EXPECT_THAT(segments.texts, ElementsAre("a cat", "a dog"));
  EXPECT_THAT(segments.starts, ElementsAre(0, 2));
  const std::string merged = merge_segments(segments);
  EXPECT_EQ(merged, "|0|a cat|2|a dog");
  EXPECT_EQ(text_of_loop(merged, 0), "a cat");
  EXPECT_EQ(text_of_loop(merged, 1), "a cat");
  EXPECT_EQ(text_of_loop(merged, 2), "a dog");
  EXPECT_EQ(text_of_loop(merged, 9), "a dog");
}

TEST(Segments, APromptWithoutThemIsOneTextForAllLoops) {
  const PromptSegments segments = split_segments("a | b |0| c");
  EXPECT_THAT(segments.texts, ElementsAre("a | b |0| c"));
  EXPECT_THAT(segments.starts, IsEmpty());
  EXPECT_EQ(text_of_loop(merge_segments(segments), 7), "a | b |0| c");
}

TEST(Segments, RefuseWhatHasNoNumberOrText) {
  EXPECT_THAT(error_of([] { split_segments("|0| a |x| b"); }), HasSubstr("expected a number"));
  EXPECT_THAT(error_of([] { split_segments("|0| a |3"); }), HasSubstr("no text"));
}

TEST(Options, StandInJsonBehindThePrompt) {
  const PromptOptions options = split_options(R"(a cat {"reference_path": "a.png", "mask_strategy": "0"})");
  EXPECT_EQ(options.prompt, "a cat ");
  EXPECT_EQ(options.reference, "a.png");
  EXPECT_EQ(options.mask_strategy, "0");
  EXPECT_EQ(split_options("a cat").prompt, "a cat");
}

TEST(Options, RefuseWhatIsNotKnown) {
  EXPECT_THAT(error_of([] { split_options("a {cat}"); }), HasSubstr("not JSON"));
  EXPECT_THAT(error_of([] { split_options("a {b} {c}"); }), HasSubstr("at most one"));
  EXPECT_THAT(error_of([] { split_options(R"(a {"seed": 3})"); }), HasSubstr("seed"));
}

TEST(MaskStrategy, FillsFieldsThatAreMissing) {
  const auto rows = parse_mask_strategy("1,0,-5,0,5,0.4;2");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].reference_start, -5);
  EXPECT_EQ(rows[0].length, 5);
  EXPECT_DOUBLE_EQ(rows[0].edit_ratio, 0.4);
  EXPECT_EQ(rows[1].loop, 2);
  EXPECT_EQ(rows[1].length, 1);
  EXPECT_THAT(parse_mask_strategy(""), IsEmpty());
}

TEST(MaskStrategy, RefusesWhatIsNotANumber) {
  EXPECT_THAT(error_of([] { parse_mask_strategy("0,a"); }), HasSubstr("expected a number"));
  EXPECT_THAT(error_of([] { parse_mask_strategy("0,0,0,0,1,0,7"); }), HasSubstr("at most 6"));
}

TEST(ReferencesOf, ARowsOwnGoBeforeThoseInThePrompt) {
  const References found = references_of(R"(a cat {"reference_path": "a.png;b/c.mp4", "mask_strategy": "0;0,1,0,-1"})", "", "", 1);
  EXPECT_THAT(found.files, ElementsAre("a.png", "b/c.mp4"));
  ASSERT_EQ(found.rows.size(), 2u);
  EXPECT_EQ(found.rows[1].reference, 1);
  EXPECT_EQ(found.rows[1].target_start, -1);
  EXPECT_THAT(references_of(R"(a cat {"reference_path": "a.png", "mask_strategy": "0"})", "d.png", "", 1).files, ElementsAre("d.png"));
  EXPECT_THAT(references_of("a cat", "", "", 1).files, IsEmpty());
}

TEST(ReferencesOf, RefusesAStrategyThatDoesNotFitTheFilesOrTheClips) {
  const auto refusal = [](const char* files, const char* strategy) { return error_of([&] { references_of("a cat", files, strategy, 1); }); };
  EXPECT_NO_THROW(references_of("a cat", "a.png", "0", 1));
  EXPECT_THAT(refusal("a.png", ""), HasSubstr("no mask_strategy"));
  EXPECT_THAT(refusal("", "0"), HasSubstr("reference_path has 0"));
  EXPECT_THAT(refusal("a.png", "0,1"), HasSubstr("names reference 1"));
  EXPECT_THAT(refusal("a.png", "1"), HasSubstr("about clip 1"));
  EXPECT_NO_THROW(references_of("a cat", "a.png", "1", 2));
  EXPECT_THAT(refusal("a.png", "0,0,0,0,0"), HasSubstr("copies 0 latent frames"));
  EXPECT_THAT(refusal("a.png", "0,0,-9223372036854775807"), HasSubstr("names latent frame -9223372036854775807"));
  EXPECT_THAT(refusal("a.png", "0,0,0,0,1,1.5"), HasSubstr("edit ratio of 1.5"));
  EXPECT_THAT(refusal("a.png;b.png", "0"), HasSubstr("nothing from reference 1, b.png"));
  EXPECT_THAT(refusal("a.png;;c.png", "0;0,1;0,2"), HasSubstr("name of reference 1 is empty"));
}

TEST(NearestPoint, SnapsToMultiples) {
  EXPECT_EQ(find_nearest_point(7, 5, 30), 5);
  EXPECT_EQ(find_nearest_point(8, 5, 30), 10);
  EXPECT_EQ(find_nearest_point(8, 5, 10), 5);
  EXPECT_EQ(find_nearest_point(0, 5, 30), 0);
}

TEST(FramesOfLatents, AreSeventeenForFive) {
  EXPECT_EQ(dframe_to_frame(5), 17);
  EXPECT_EQ(dframe_to_frame(15), 51);
  EXPECT_THROW(dframe_to_frame(4), Error);
}

TEST(TextsPerClip, AreDecoratedAndCleanedSegmentBySegment) {
  EXPECT_THAT(texts_per_clip("|0| A Cat |1| A <b>Dog</b>", {.aesthetic = 6.5}, 3),
              ElementsAre("a cat aesthetic score: 6.5.", "a dog aesthetic score: 6.5.", "a dog aesthetic score: 6.5."));
}

TEST(TextsPerClip, LeaveOutWhatThePromptSaysOfReferences) {
  EXPECT_THAT(texts_per_clip(R"(a cat {"reference_path": "a.png", "mask_strategy": "0"})", {}, 1), ElementsAre("a cat"));
}

}  // namespace
}  // namespace pyracast
