#include "dataset/prompt.hpp"
#include "manifest_test.hpp"

namespace pyracast {
namespace {

using testing::HasSubstr;

Prompt full_prompt() {
  Prompt prompt;
  prompt.id = "cat-1";
  prompt.text = "a cat\nsays \"привет\" 🐈";
  prompt.negative_prompt = "blurry";
  prompt.seed = 18446744073709551615u;
  prompt.samples = 3;
  prompt.resolution = "240p";
  prompt.aspect_ratio = "9:16";
  prompt.seconds = 2.5;
  prompt.fps = 24;
  prompt.steps = 30;
  prompt.guidance = 7.1;
  prompt.aesthetic = 6.5;
  prompt.motion = 0;
  prompt.camera = "pan left";
  prompt.reference_path = "pictures/a.png;clips/b.mp4";
  prompt.mask_strategy = "0;0,1,0,-1";
  return prompt;
}

TEST(Prompt, ComesBackFromItsJson) {
  Prompt sized;
  sized.id = "sized", sized.text = "a dog";
  sized.width = 64, sized.height = 48, sized.frames = 17;
  for (const Prompt& prompt : {full_prompt(), sized}) EXPECT_EQ(prompt_from_json(to_json(prompt).dump()), prompt);
}

TEST(Prompt, EveryColumnIsWrittenAndDecidesEquality) {
  Prompt all = full_prompt();
  all.width = all.height = all.frames = 1;
  EXPECT_EQ(to_json(all).size(), prompt_columns().size());
  for (const std::string_view column : prompt_columns()) {
    if (column == "prompt" || column == "id" || column == "samples") continue;
    Json row = to_json(full_prompt());
    if (!row.contains(std::string(column))) continue;
    row.erase(std::string(column));
    EXPECT_THAT(first_difference(full_prompt(), prompt_from_json(row.dump())), HasSubstr(std::string(column)));
  }
  EXPECT_EQ(first_difference(full_prompt(), full_prompt()), "");
}

TEST(Prompt, WithoutIdIsNamedAfterWhatItsSamplesDependOn) {
  const Prompt cat = prompt_from_text("a cat");
  EXPECT_EQ(cat.id.size(), 20u);
  EXPECT_EQ(cat.id, prompt_from_json(R"({"samples": 4, "prompt": "a cat"})").id);
  EXPECT_NE(cat.id, prompt_from_json(R"({"prompt": "a cat", "seed": 1})").id);
  EXPECT_NE(cat.id, prompt_from_text("a cat ").id);
}

TEST(Prompt, NullAndEmptyCellsAreAbsent) {
  const Prompt prompt = prompt_from_json(R"({"prompt": "a", "seed": null, "fps": null})");
  EXPECT_FALSE(prompt.seed || prompt.fps);
  EXPECT_EQ(prompt, prompt_from_cells({prompt_column("prompt"), prompt_column("seed")}, {"a", ""}));
}

TEST(Prompt, WholeNumbersMayBeWrittenWithAZeroFraction) {
  EXPECT_EQ(prompt_from_json(R"({"prompt": "a", "frames": 51.0})").frames, 51);
  EXPECT_EQ(prompt_from_cells({prompt_column("prompt"), prompt_column("frames")}, {"7", "51.0"}).frames, 51);
  EXPECT_EQ(prompt_from_cells({prompt_column("prompt")}, {"7"}).text, "7");
}

struct BadRow {
  std::string json, message;
};

class BadPrompt : public testing::TestWithParam<BadRow> {};

TEST_P(BadPrompt, IsRefusedWithItsReason) {
  EXPECT_THAT(error_of([&] { prompt_from_json(GetParam().json); }), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Prompt, BadPrompt,
    testing::Values(
        BadRow{R"({"promt": "a"})", R"(unknown column "promt"; the nearest known one is "prompt")"},
        BadRow{R"({"prompt": "a", "num_frames": 3})",
               R"(unknown column "num_frames"; the nearest known one is "frames")"},
        BadRow{R"({"id": "a"})", "prompt is missing"}, BadRow{R"({"prompt": ""})", "prompt is empty"},
        BadRow{R"({"prompt": "a", "id": ""})", "id is empty"}, BadRow{R"({"prompt": 3})", "prompt is 3, expected text"},
        BadRow{R"({"prompt": ["a"]})", "prompt is an array, expected a single value"},
        BadRow{R"({"prompt": {"text": "a"}})", "prompt is an object, expected a single value"},
        BadRow{R"(["a"])", "the line is a JSON array, expected an object"},
        BadRow{R"("a")", "the line is \"a\", expected an object"},
        BadRow{R"({"prompt": "a")", "not valid JSON at byte 15"},
        BadRow{R"({"prompt": "a"} x)", "not valid JSON at byte 17"},
        BadRow{R"({"prompt": "a", "prompt": "b"})", R"(the key "prompt" stands twice)"},
        BadRow{R"({"prompt": "\ud800"})", "not valid JSON at byte"}, BadRow{R"({"prompt": "a\u0000b"})", "U+0000"},
        BadRow{R"({"prompt": "a", "seed": -1})", "seed is -1, expected a whole number from 0 to 18446744073709551615"},
        BadRow{R"({"prompt": "a", "seed": 1.5})", "seed is 1.5, expected a whole number"},
        BadRow{R"({"prompt": "a", "seed": true})", "seed is true, expected a whole number"},
        BadRow{R"({"prompt": "a", "samples": 0})", "samples is 0, expected a whole number from 1"},
        BadRow{R"({"prompt": "a", "steps": "many"})", "steps is \"many\", expected a whole number from 1"},
        BadRow{R"({"prompt": "a", "frames": 99999999999})", "frames is 99999999999, expected a whole number from 1"},
        BadRow{R"({"prompt": "a", "fps": 0})", "fps is 0, expected a number from 0.001 to 1000"},
        BadRow{R"({"prompt": "a", "guidance": 1e999})", "not valid JSON at byte"},
        BadRow{R"({"prompt": "a", "guidance": "x"})", "guidance is \"x\", expected a number"},
        BadRow{R"({"prompt": "a", "width": 64})", "width stands alone, expected both width and height"},
        BadRow{R"({"prompt": "a", "height": 64})", "height stands alone"},
        BadRow{R"({"prompt": "a", "width": 64, "height": 64, "resolution": "240p"})",
               "both width and height and resolution are given"},
        BadRow{R"({"prompt": "a", "frames": 17, "seconds": 2})", "both frames and seconds are given"}));

TEST(Prompt, LongerThanAMegabyteIsRefused) {
  EXPECT_EQ(prompt_from_text(std::string(1 << 20, 'x')).text.size(), size_t(1) << 20);
  EXPECT_THAT(error_of([] { prompt_from_text(std::string((1 << 20) + 1, 'x')); }), HasSubstr("has 1048577 bytes"));
}

TEST(Prompt, DeeplyNestedJsonIsRefusedAtItsFirstLevel) {
  EXPECT_THAT(error_of([] { prompt_from_json("{\"prompt\":" + std::string(1 << 20, '[')); }), HasSubstr("is an array"));
}

}  // namespace
}  // namespace pyracast
