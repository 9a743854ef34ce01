#include "base/config.hpp"

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

struct Settings {
  std::filesystem::path config, prompts = "prompts.jsonl";
  int steps = 30;
  double guidance = 7;
  uint64_t seed = 42;
  bool strict = false;
  std::optional<std::string> camera;
  std::vector<std::string> save;

  template <class Visit>
  static void fields(Visit&& visit, Settings& s) {
    visit("Job", "config", s.config, "file of settings");
    visit("Job", "prompts", s.prompts, "manifest");
    visit("Job", "strict", s.strict, "refuse bad lines");
    visit("Sampling", "steps", s.steps, "denoising steps");
    visit("Sampling", "guidance", s.guidance, "guidance scale");
    visit("Sampling", "seed", s.seed, "seed of the run");
    visit("Sampling", "camera", s.camera, "camera motion");
    visit("Results", "save", s.save, "what is kept");
  }
};

Settings read(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "generate");
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  return read_config<Settings>(int(pointers.size()), pointers.data());
}

struct ConfigTest : testing::Test {
  TemporaryFolder folder;
  std::filesystem::path file(const std::string& content) const { return folder.write("run.cfg", content); }
  Settings from(const std::string& content) const { return read({"--config", file(content).string()}); }
  std::string error(const std::string& content) const { return error_of([&] { from(content); }); }
  std::string at(int line) const { return concat((folder / "run.cfg").string(), ':', line, ": "); }
};

TEST_F(ConfigTest, ReadsKeysCommentsAndBlankLines) {
  const Settings s = from("# a run\n\nsteps = 12\nguidance=3.5   # behind a value too\n  strict = yes\nsave = latents, embeddings\n");
  EXPECT_EQ(s.steps, 12);
  EXPECT_EQ(s.guidance, 3.5);
  EXPECT_TRUE(s.strict);
  EXPECT_THAT(s.save, ElementsAre("latents", "embeddings"));
  EXPECT_EQ(s.seed, 42u);
  EXPECT_EQ(s.camera, std::nullopt);
}

TEST_F(ConfigTest, RefusesASectionAndNamesItsLine) {
  const std::string said = error("steps = 12\n  [model]\nguidance = 3\n");
  EXPECT_THAT(said, StartsWith(at(2)));
  EXPECT_THAT(said, HasSubstr("\"  [model]\" begins a section"));
  EXPECT_EQ(from("# [model]\nsteps = 12\n").steps, 12);
}

TEST_F(ConfigTest, KeepsAnEqualsSignInsideAValue) { EXPECT_EQ(from("camera = a = b==c\n").camera, "a = b==c"); }

TEST_F(ConfigTest, ReadsWhatWindowsEditorsWrite) {
  const Settings s = from("\xef\xbb\xbfsteps = 12\r\n\r\ncamera = pan left\r\n");
  EXPECT_EQ(s.steps, 12);
  EXPECT_EQ(s.camera, "pan left");
}

TEST_F(ConfigTest, ReadsALastLineWithoutAnEnd) { EXPECT_EQ(from("steps = 5").steps, 5); }

TEST_F(ConfigTest, PathsInAFileAreRelativeToIt) {
  EXPECT_EQ(from("prompts = sub/p.txt\n").prompts, folder.path() / "sub/p.txt");
  EXPECT_EQ(from("prompts = /abs/p.txt\n").prompts, "/abs/p.txt");
  EXPECT_EQ(from("prompts = -\n").prompts, "-");
  EXPECT_EQ(read({"--prompts", "sub/p.txt"}).prompts, "sub/p.txt");
}

TEST_F(ConfigTest, TheCommandLineWinsOverTheFile) {
  const std::string path = file("steps = 12\nguidance = 2\n").string();
  for (const auto& arguments : {std::vector<std::string>{"--config", path, "--steps=7"}, {"--steps", "7", "--config", path}}) {
    EXPECT_EQ(read(arguments).steps, 7);
    EXPECT_EQ(read(arguments).guidance, 2);
  }
}

TEST_F(ConfigTest, NamesAnUnknownKeyItsLineAndTheNearest) {
  EXPECT_THAT(error("steps = 3\n\nguidence = 4\n"), AllOf(HasSubstr(at(3)), HasSubstr("\"guidence\""), HasSubstr("nearest is \"guidance\"")));
  EXPECT_THAT(error_of([] { read({"--sede", "4"}); }), AllOf(HasSubstr("--sede"), HasSubstr("nearest is \"seed\"")));
  EXPECT_THAT(error_of([] { read({"--step=4"}); }), AllOf(HasSubstr("\"step\""), HasSubstr("nearest is \"steps\"")));
}

TEST_F(ConfigTest, NamesAValueOfTheWrongType) {
  EXPECT_THAT(error("\nsteps = many\n"), AllOf(HasSubstr(at(2)), HasSubstr("steps is \"many\", expected a whole number")));
  EXPECT_THAT(error("steps = 3.5\n"), HasSubstr("expected a whole number"));
  EXPECT_THAT(error("steps = 99999999999\n"), HasSubstr("expected a whole number that is not that large"));
  EXPECT_THAT(error("steps =\n"), HasSubstr("expected a whole number"));
  EXPECT_THAT(error("seed = -1\n"), HasSubstr("0 or more"));
  EXPECT_THAT(error("guidance = high\n"), HasSubstr("expected a number"));
  EXPECT_THAT(error("guidance = nan\n"), HasSubstr("finite"));
  EXPECT_THAT(error("strict = maybe\n"), HasSubstr("expected true or false"));
  EXPECT_THAT(error_of([] { read({"--steps", "x"}); }), HasSubstr("--steps: steps is \"x\""));
}

TEST_F(ConfigTest, RefusesAKeyThatIsSetTwice) {
  EXPECT_THAT(error("steps = 3\nseed = 1\nsteps = 4\n"), AllOf(HasSubstr(at(3)), HasSubstr("already set at"), HasSubstr("run.cfg:1")));
  EXPECT_EQ(read({"--steps", "3", "--steps", "4"}).steps, 4) << "on the command line the last one counts";
}

TEST_F(ConfigTest, RefusesALineThatIsNoSetting) {
  EXPECT_THAT(error("steps = 3\njust words\n"), AllOf(HasSubstr(at(2)), HasSubstr("expected key = value")));
  EXPECT_THAT(error("config = other.cfg\n"), HasSubstr("cannot name another"));
  EXPECT_THAT(error_of([] { read({"words"}); }), AllOf(HasSubstr("\"words\""), HasSubstr("start with --")));
  EXPECT_THAT(error_of([] { read({"-steps", "3"}); }), HasSubstr("command line: -steps is not expected here (settings start with --)"));
  EXPECT_THAT(error_of([] { read({"--steps"}); }), AllOf(HasSubstr("command line"), HasSubstr("--steps")));
}

TEST_F(ConfigTest, RefusesAFileThatIsNotThere) {
  EXPECT_THAT(error_of([&] { read({"--config", (folder / "none.cfg").string()}); }), AllOf(HasSubstr("none.cfg"), HasSubstr("cannot be opened")));
  EXPECT_THAT(error_of([&] { read({"--config", folder.path().string()}); }), HasSubstr("cannot be opened"));
}

TEST(Config, ASwitchNeedsNoValue) {
  EXPECT_TRUE(read({"--strict"}).strict);
  EXPECT_FALSE(read({"--strict=false"}).strict);
}

TEST(Config, WordsBesideTheSettingsStandAnywhereAndAreNoValuesOfSwitches) {
  std::vector<std::string> arguments{"join", "a", "--strict", "b", "--steps=4", "c"}, words;
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  const Settings settings = read_config<Settings>(int(pointers.size()), pointers.data(), &words);
  EXPECT_THAT(words, ElementsAre("a", "b", "c"));
  EXPECT_TRUE(settings.strict);
  EXPECT_EQ(settings.steps, 4);
}

TEST(Config, HelpHasGroupsAndDefaults) {
  const std::string help = describe(settings_of<Settings>());
  EXPECT_THAT(help, AllOf(HasSubstr("Job:"), HasSubstr("Sampling:"), HasSubstr("Results:"), HasSubstr("--steps"), HasSubstr("(=30)"),
                          HasSubstr("(=false)"), HasSubstr("(=prompts.jsonl)"), HasSubstr("denoising steps")));
  EXPECT_LT(help.find("Job:"), help.find("Sampling:"));
}

TEST(Config, IsStoredWhole) {
  Settings settings;
  settings.save = {"latents"};
  const Json json = to_json(settings);
  EXPECT_EQ(json["steps"], 30);
  EXPECT_EQ(json["prompts"], "prompts.jsonl");
  EXPECT_TRUE(json["camera"].is_null());
  EXPECT_EQ(json["save"], Json({"latents"}));
}

}  // namespace
}  // namespace pyracast
