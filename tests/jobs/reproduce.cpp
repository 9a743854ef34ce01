// `pyracast reproduce`: stored samples made again from the dataset alone.
#include "program.hpp"

#include <gmock/gmock.h>

#include <csignal>

#include <nlohmann/json.hpp>

#include "production/fingerprint.hpp"
#include "production/stored_sample.hpp"

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using nlohmann::json;

class Reproduce : public GenerateTest, public ::testing::WithParamInterface<const char*> {
 protected:
  Ended reproduce(std::vector<std::string> more, int ranks = 1, const std::string& output = "out") const {
    std::vector<std::string> words{MPIEXEC, "-n", std::to_string(ranks), PYRACAST, "reproduce", "--output", (folder / output).string()};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  std::vector<std::string> generate(const fs::path& prompts, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{
        MPIEXEC, "-n", "2", PYRACAST, "generate", "--model", "null", "--prompts", prompts.string(), "--output", (folder / "out").string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  fs::path two_prompts() const {
    return file("prompts.jsonl",
                "{\"id\": \"a\", \"prompt\": \"a red circle\", \"samples\": 3, \"seed\": 7}\n{\"id\": \"b\", \"prompt\": \"a star\", \"steps\": 3, "
                "\"frames\": 5}\n");
  }
};

TEST_F(Reproduce, MakesAStoredSampleAgainAndSaysThatItIsEqual) {
  ASSERT_EQ(run(generate(two_prompts(), {"--save", "frames,latents,step-latents,embeddings"})).code, 0);
  const Ended one = reproduce({"--id", "a", "--sample", "2"});
  EXPECT_EQ(one.code, 0) << one.output;
  EXPECT_THAT(one.output, AllOf(HasSubstr("equal    a sample 2: MP4 "), HasSubstr("1 of 1 sample is equal")));
  const Ended all = reproduce({"--count", "100", "--json"}, 3);
  EXPECT_EQ(all.code, 0) << all.output;
  const json found = json::parse(all.output);
  EXPECT_EQ(found["equal"], 4);
  const auto compared = found["samples"][0]["compared"].get<std::vector<std::string>>();
  for (const char* what : {"video_sha256", "latents", "step_latents", "text_embedding", "frames", "encoded_prompt", "perceptual_hash"})
    EXPECT_THAT(compared, ::testing::Contains(what));
  EXPECT_EQ(json::parse(reproduce({"--count", "2", "--json"}).output)["samples"].size(), 2u);
}

TEST_F(Reproduce, TakesTheSizeThatWasAskedForWhereTheVideoHasAnother) {
  const auto rows = [&](const char* height, const char* more = "") {
    return file("prompts.jsonl", std::string("{\"id\": \"a\", \"prompt\": \"a red circle\", \"width\": 70, \"height\": ") + height + "}\n" + more);
  };
  ASSERT_EQ(run(command(1, rows("50"), "out")).code, 0);
  const json row = json::parse(read_text(folder / "out/metadata.jsonl"));
  EXPECT_EQ(row["height"], 48);
  EXPECT_EQ(row["width"], 64);
  const Ended one = reproduce({"--id", "a"});
  EXPECT_EQ(one.code, 0) << one.output;
  const Ended longer = run(command(1, rows("50", "{\"prompt\": \"a star\"}\n"), "out"));
  EXPECT_EQ(longer.code, 0) << "no row has changed: " << longer.output;
  const Ended changed = run(command(1, rows("51"), "out"));
  EXPECT_EQ(changed.code, 65);
  EXPECT_THAT(changed.output, HasSubstr("height was 50, is 51"));
}

TEST_F(Reproduce, NeedsTheDatasetAlone) {
  const auto prompts = two_prompts();
  ASSERT_EQ(run(generate(prompts)).code, 0);
  fs::remove(prompts);
  fs::rename(folder / "out", folder / "moved");
  fs::remove(folder / "moved/run.json");
  EXPECT_EQ(reproduce({"--id", "b"}, 1, "moved").code, 0) << "a run that died has left no run.json";
}

// Such have another fingerprint; what they say decides.
TEST(SettingsOfEarlierVersions, AreTheSameWhereASettingThatCameLaterIsNotSet) {
  const Json before{{"settings", {{"seed", 42}, {"dtype", "auto"}}}, {"products", "block floating point"}};
  Json now{{"settings", {{"seed", 42}, {"dtype", "bfp16"}, {"mask-strategy", nullptr}}}};
  EXPECT_EQ(differences(recorded_anew(before), now), "");
  now["settings"]["mask-strategy"] = "0";
  EXPECT_THAT(differences(recorded_anew(before), now), HasSubstr("settings/mask-strategy was null, is \"0\""));
  const Json content{{"settings", {{"dtype", "auto"}}}, {"products", "block floating point"}, {"device", "cpu-avx2"}, {"broadcast", nullptr}};
  EXPECT_EQ(settings_of_run({content, Json::object(), Json()}, {}, "").model.dtype, "bfp16");
}

TEST_F(Reproduce, FindsSamplesThatOnlyAJournalHolds) {
  std::string rows;
  for (int n = 0; n < 400; ++n) rows += "{\"id\": \"" + std::to_string(n) + "\", \"prompt\": \"a star\"}\n";
  const auto words = generate(file("prompts.jsonl", rows));
  const fs::path journal = folder / "out/journal/team-0.journal";
  Program killed(words, folder / "killed.log");
  ASSERT_TRUE(eventually([&] { return !killed.running() || (fs::exists(journal) && fs::file_size(journal) > 20000); }));
  killed.signal_all(SIGKILL);
  killed.wait();
  ASSERT_TRUE(fs::exists(journal)) << "it was killed too late";
  const Ended some = reproduce({"--count", "5"});
  EXPECT_EQ(some.code, 0) << some.output;
  EXPECT_THAT(some.output, HasSubstr("5 of 5 samples are equal"));
}

TEST_F(Reproduce, FindsTorchsNoiseOfRowsWithAndWithoutASeed) {
  const auto prompts =
      file("prompts.jsonl",
           "{\"id\": \"a\", \"prompt\": \"x\", \"seed\": 42}\n{\"id\": \"b\", \"prompt\": \"x\"}\n{\"id\": \"c\", \"prompt\": \"x\", \"seed\": 1}\n");
  ASSERT_EQ(run(generate(prompts, {"--noise", "torch", "--seed", "42"})).code, 0);
  const Ended all = reproduce({"--count", "9"}, 2);
  EXPECT_EQ(all.code, 0) << all.output;
  EXPECT_THAT(all.output, HasSubstr("3 of 3 samples are equal"));
}

TEST_F(Reproduce, NamesAChangedFile) {
  ASSERT_EQ(run(generate(two_prompts())).code, 0);
  for (const auto& entry : fs::recursive_directory_iterator(folder / "out/videos"))
    if (entry.path().filename() == "b.mp4") fs::resize_file(entry.path(), 500);
  const Ended changed = reproduce({"--count", "9"});
  EXPECT_EQ(changed.code, 1) << changed.output;
  EXPECT_THAT(changed.output,
              AllOf(HasSubstr("DIFFERS  b sample 0: the stored MP4 file is not what its row says"), HasSubstr("3 of 4 samples are equal")));
}

TEST_F(Reproduce, RefusesWhatItCannotDo) {
  ASSERT_EQ(run(generate(two_prompts())).code, 0);
  EXPECT_THAT(reproduce({"--id", "none"}).output, HasSubstr("holds no sample 0 of \"none\""));
  EXPECT_EQ(reproduce({"--id", "none"}).code, 64);
  EXPECT_EQ(reproduce({}).code, 64);
  EXPECT_EQ(reproduce({"--id", "a"}, 1, "nowhere").code, 64);
  EXPECT_THAT(run({PYRACAST, "reproduce", "--help"}).output, AllOf(HasSubstr("usage: "), HasSubstr("--json")));
}

/// As if the samples had been made by other weights, with the same shapes.
TEST_F(Reproduce, SaysWhereTheFirstDifferenceIsAndRefusesOtherWeights) {
  const auto prompts = manifest(2);
  ASSERT_EQ(run(command(1, prompts, "out", {"--save", "latents"})).code, 0);
  EXPECT_EQ(reproduce({"--id", "clip-0"}).code, 0);
  fs::copy(DEMO_SNAPSHOT, folder / "other", fs::copy_options::recursive);
  const fs::path weights = folder / "other/transformer/model.safetensors";
  std::string bytes = read_text(weights);
  bytes[bytes.size() - 100] = char(bytes[bytes.size() - 100] ^ 1);
  file("other/transformer/model.safetensors", bytes);
  const Ended other = reproduce({"--id", "clip-0", "--snapshot", (folder / "other").string()});
  EXPECT_EQ(other.code, 65) << other.output;
  EXPECT_THAT(other.output, HasSubstr("snapshot/transformer/model.safetensors was"));
  const Ended gone = reproduce({"--id", "clip-0", "--snapshot", (folder / "gone").string()});
  EXPECT_EQ(gone.code, 64) << gone.output;
  EXPECT_THAT(gone.output, HasSubstr("give where it lies now"));
}

TEST_F(Reproduce, RefusesAnotherInstructionSet) {
  ASSERT_EQ(run(command(1, manifest(1), "out", {"--cpu-isa", "portable"})).code, 0);
  EXPECT_EQ(reproduce({"--id", "clip-0"}).code, 0) << "the portable kernels can be had everywhere";
}

TEST_P(Reproduce, HoldsForEveryFamilyWithBroadcastingAndOnTeams) {
  const bool is_demo = GetParam() == std::string("opensora-1.2");
  const fs::path snapshot = is_demo ? fs::path(DEMO_SNAPSHOT) : folder / "snapshot";
  if (!is_demo) {
    ASSERT_EQ(run({MAKE_TINY_SNAPSHOT, GetParam(), snapshot.string(), DEMO_SNAPSHOT}).code, 0);
  }
  const auto prompts = file("prompts.jsonl", std::string(R"({"id": "a", "prompt": "A red circle", "samples": 2}
{"id": "b", "prompt": "a star", "steps": 7)") + (is_demo ? R"(, "aesthetic": 5.5)" : R"(, "negative_prompt": "blurry")") + R"(}
{"id": "c", "prompt": "a star", "frames": 1, "guidance": 1}
)");
  const auto broadcast = file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900]})");
  const auto words = [&](std::vector<std::string> more) {
    std::vector<std::string> all{
        PYRACAST, "generate", "--model", GetParam(), "--snapshot", snapshot.string(), "--steps", "5",
        "--prompts", prompts.string(), "--broadcast", broadcast.string(), "--output", (folder / "out").string(), "--save", "latents,embeddings"};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  const Ended made = run(words({}));
  ASSERT_EQ(made.code, 0) << made.output;
  fs::remove(broadcast);
  const Ended again = reproduce({"--count", "9", "--ranks-per-video", "2"}, 2);
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("samples are equal"));
  // The same settings and rows as they are: a longer manifest is no change for what is finished.
  file("prompts.jsonl", read_text(prompts) + R"({"id": "d", "prompt": "a square"})" + "\n");
  file("pab.json", R"({"spatial_broadcast": true, "spatial_range": 2, "spatial_threshold": [100, 900]})");
  const Ended longer = run(words({}));
  EXPECT_EQ(longer.code, 0) << longer.output;
}

INSTANTIATE_TEST_SUITE_P(Families, Reproduce, ::testing::Values("opensora-1.2", "latte-1", "osp-1.1", "osp-1.2"),
                         [](const auto& family) { return "Of" + std::to_string(family.index); });

}  // namespace

}  // namespace pyracast::testing
