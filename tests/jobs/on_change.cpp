// Going on in a folder with other settings, another model or other rows: --on-change refuse, fork and only-new.
#include "program.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <csignal>
#include <sstream>

#include <nlohmann/json.hpp>

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using nlohmann::json;

class OnChange : public GenerateTest {
 protected:
  std::vector<std::string> generate(const fs::path& prompts, std::vector<std::string> more = {}, const std::string& output = "out") const {
    std::vector<std::string> words{
        MPIEXEC, "-n", "2", PYRACAST, "generate", "--model", "null", "--prompts", prompts.string(), "--output", (folder / output).string()};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  fs::path rows(const std::string& first, int count = 4) const {
    std::string text = first + "\n";
    for (int n = 1; n < count; ++n) text += R"({"id": "clip-)" + std::to_string(n) + R"(", "prompt": "a star )" + std::to_string(n) + "\"}\n";
    return file("prompts.jsonl", text);
  }
  Ended verify(const std::string& output = "out") const { return run({PYRACAST, "verify", "--output", (folder / output).string()}); }
  /// The folder beside "out" that was begun.
  std::vector<std::string> forks() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(folder))
      if (entry.path().filename().string().starts_with("out-")) found.push_back(entry.path().filename().string());
    std::sort(found.begin(), found.end());
    return found;
  }
  /// Every file of a dataset and when it was last written.
  std::map<std::string, fs::file_time_type> files_of(const std::string& output) const {
    std::map<std::string, fs::file_time_type> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder / output))
      if (entry.is_regular_file()) files[entry.path().string()] = entry.last_write_time();
    return files;
  }
  std::map<std::string, json> metadata(const std::string& output = "out") const {
    std::map<std::string, json> found;
    std::istringstream lines(read_text(folder / output / "metadata.jsonl"));
    for (std::string line; std::getline(lines, line);) {
      const json row = json::parse(line);
      found[row["id"]] = row;
    }
    return found;
  }
};

constexpr const char* first_row = R"({"id": "clip-0", "prompt": "a circle", "seed": 5})";
constexpr const char* changed_row = R"({"id": "clip-0", "prompt": "a square", "seed": 5})";

TEST_F(OnChange, RefusesOtherSettingsByDefaultAndNamesThem) {
  const auto prompts = rows(first_row);
  ASSERT_EQ(run(generate(prompts)).code, 0);
  const Ended refused = run(generate(prompts, {"--steps", "3"}));
  EXPECT_EQ(refused.code, 65);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("settings/steps was null, is 3"), HasSubstr("--on-change fork")));
  EXPECT_EQ(verify().code, 0);
}

TEST_F(OnChange, RefusesAChangedRowByDefaultNamesItAndKeepsTheManifest) {
  ASSERT_EQ(run(generate(rows(first_row))).code, 0);
  struct Case {
    const char* row;
    const char* says;
  };
  for (const Case& changed : {Case{changed_row, "clip-0 sample 0: prompt was \"a circle\", is \"a square\""},
                              {R"({"id": "clip-0", "prompt": "a circle", "seed": 6})", "seed was 5, is 6"},
                              {R"({"id": "clip-0", "prompt": "a circle"})", "seed was 5, is 42"},
                              {R"({"id": "clip-0", "prompt": "a circle", "seed": 5, "steps": 2})", "steps was 1, is 2"},
                              {R"({"id": "clip-0", "prompt": "a circle", "seed": 5, "frames": 7})", "frames was 4, is 7"},
                              {R"({"id": "clip-0", "prompt": "a circle", "seed": 5, "height": 32, "width": 16})", "height was 16, is 32"},
                              {R"({"id": "clip-0", "prompt": "a circle", "seed": 5, "negative_prompt": "blue"})", "settings was"}}) {
    const Ended refused = run(generate(rows(changed.row, 6)));
    EXPECT_EQ(refused.code, 65) << refused.output;
    EXPECT_THAT(refused.output, HasSubstr(changed.says));
    const Ended whole = verify();
    EXPECT_EQ(whole.code, 0) << "the manifest of before is back: " << whole.output;
  }
  EXPECT_THAT(run({PYRACAST, "status", "--output", (folder / "out").string()}).output,
              HasSubstr("the last one ended: with 65, " + (folder / "out").string() +
                        ": 1 finished sample was made of another row than the manifest's\n"));
  const Ended again = run(generate(rows(first_row, 6)));
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("6 of 6 videos (4 were there)"));
}

TEST_F(OnChange, ForksIntoAFolderBesideItAndLeavesTheOldOneUntouched) {
  const auto prompts = rows(first_row);
  ASSERT_EQ(run(generate(prompts)).code, 0);
  const auto before = files_of("out");
  const Ended forked = run(generate(prompts, {"--steps", "3", "--on-change", "fork"}));
  ASSERT_EQ(forked.code, 0) << forked.output;
  ASSERT_EQ(forks().size(), 1u);
  const std::string fork = forks()[0];
  EXPECT_THAT(forked.output,
              AllOf(HasSubstr("settings/steps was null, is 3"), HasSubstr("this run makes"), HasSubstr(fork), HasSubstr("4 of 4 videos")));
  EXPECT_THAT(forked.output, Not(HasSubstr("were there")));
  EXPECT_EQ(files_of("out"), before);
  EXPECT_EQ(verify(fork).code, 0);
  const Ended again = run(generate(prompts, {"--steps", "3", "--on-change", "fork"}));
  EXPECT_THAT(again.output, HasSubstr("(4 were there)")) << "the same command goes on in the same fork";
  ASSERT_EQ(run(generate(rows(changed_row), {"--on-change", "fork"})).code, 0);
  ASSERT_EQ(run(generate(rows(R"({"id": "clip-0", "prompt": "a star"})"), {"--on-change", "fork"})).code, 0);
  EXPECT_EQ(forks().size(), 3u) << "a changed row forks as well, and another one forks from both";
  EXPECT_EQ(files_of("out"), before);
  EXPECT_EQ(run(generate(rows(first_row), {"--on-change", "fork"})).code, 0);
  EXPECT_EQ(forks().size(), 3u) << "nothing has changed: no fork";
}

TEST_F(OnChange, OnlyNewKeepsWhatIsFinishedAndMakesTheRestWithTheNewSettings) {
  ASSERT_EQ(run(generate(rows(first_row))).code, 0);
  const auto old = metadata();
  const auto prompts = rows(first_row, 7);
  const Ended mixed = run(generate(prompts, {"--steps", "3", "--on-change", "only-new"}));
  ASSERT_EQ(mixed.code, 0) << mixed.output;
  EXPECT_THAT(mixed.output, AllOf(HasSubstr("settings/steps was null, is 3"), HasSubstr("7 of 7 videos (4 were there)")));
  const auto rows_now = metadata();
  for (const auto& [id, row] : old) EXPECT_EQ(rows_now.at(id), row) << id;
  EXPECT_EQ(rows_now.at("clip-6")["steps"], 3);
  const Ended whole = verify();
  EXPECT_EQ(whole.code, 0) << whole.output;
  EXPECT_THAT(whole.output, AllOf(HasSubstr("4 samples have the settings of fingerprint"), HasSubstr("3 samples have the settings of fingerprint")));
  const json run_json = json::parse(read_text(folder / "out/run.json"));
  ASSERT_EQ(run_json["earlier"].size(), 1u);
  EXPECT_TRUE(run_json["earlier"][0]["configuration"]["steps"].is_null());
  EXPECT_EQ(run_json["configuration"]["steps"], 3);
  EXPECT_EQ(run_json["attempts"][0]["fingerprint"], run_json["earlier"][0]["fingerprint"]);
  EXPECT_EQ(run_json["attempts"][1]["fingerprint"], run_json["fingerprint"]);
  EXPECT_EQ(run(generate(prompts, {"--steps", "3"})).code, 0) << "going on with the latest settings is no change";
  EXPECT_EQ(run(generate(prompts)).code, 65) << "going back is one";
  fs::remove(folder / "out" / std::string(rows_now.at("clip-1")["file_name"]));
  ASSERT_EQ(run(generate(prompts, {"--steps", "3"})).code, 0);
  EXPECT_EQ(metadata().at("clip-1")["steps"], 3) << "a sample that has to be made again has the new settings, and says so";
  EXPECT_EQ(metadata().at("clip-2")["steps"], 1) << "the others of its shard keep theirs";
  EXPECT_EQ(verify().code, 0);
  EXPECT_EQ(run({PYRACAST, "status", "--output", (folder / "out").string()}).code, 0);
}

TEST_F(OnChange, OnlyNewKeepsSamplesOfChangedRowsAndVerifySaysHowMany) {
  ASSERT_EQ(run(generate(rows(first_row))).code, 0);
  const Ended kept = run(generate(rows(changed_row, 5), {"--on-change", "only-new"}));
  ASSERT_EQ(kept.code, 0) << kept.output;
  EXPECT_THAT(kept.output, AllOf(HasSubstr("prompt was \"a circle\", is \"a square\""), HasSubstr("5 of 5 videos (4 were there)")));
  EXPECT_EQ(metadata().at("clip-0")["prompt"], "a circle");
  const Ended whole = verify();
  EXPECT_EQ(whole.code, 0) << whole.output;
  EXPECT_THAT(whole.output, HasSubstr("1 sample is of rows that the manifest has no longer"));
  EXPECT_EQ(run(generate(rows(changed_row, 6))).code, 0) << "it was kept already";
  EXPECT_EQ(run(generate(rows(R"({"id": "clip-0", "prompt": "a star"})", 6))).code, 65) << "this is another change";
}

TEST_F(OnChange, KnowsTheSettingsOfAFolderThatHasLostWork) {
  for (const bool has_run_json : {true, false}) {
    const auto prompts = rows(first_row);
    ASSERT_EQ(run(generate(prompts)).code, 0);
    const auto lose = [&] {
      fs::remove_all(folder / "out/work");
      if (!has_run_json) fs::remove(folder / "out/run.json");
    };
    lose();
    const Ended refused = run(generate(prompts, {"--steps", "3"}));
    EXPECT_EQ(refused.code, 65) << refused.output;
    EXPECT_THAT(refused.output, AllOf(HasSubstr("settings/steps was null, is 3"), HasSubstr("--on-change fork")));
    EXPECT_FALSE(fs::exists(folder / "out/quarantine"));
    EXPECT_THAT(run(generate(prompts)).output, HasSubstr("4 of 4 videos (4 were there)")) << "the same command goes on";
    lose();
    const Ended mixed = run(generate(rows(first_row, 5), {"--steps", "3", "--on-change", "only-new"}));
    EXPECT_THAT(mixed.output, HasSubstr("5 of 5 videos (4 were there)"));
    lose();
    const Ended again = run(generate(rows(first_row, 5), {"--steps", "3"}));
    EXPECT_EQ(again.code, has_run_json ? 0 : 65) << "run.json says which settings were the last ones: " << again.output;
    EXPECT_EQ(run(generate(rows(first_row, 5), {"--steps", "3", "--on-change", "only-new"})).code, 0);
    EXPECT_FALSE(fs::exists(folder / "out/quarantine"));
    const Ended whole = verify();
    EXPECT_EQ(whole.code, 0) << whole.output;
    fs::remove_all(folder / "out");
  }
}

TEST_F(OnChange, FoldsTheJournalOfAKilledRunUnderItsOwnSettings) {
  const auto prompts = rows(first_row, 400);
  {
    Program program(generate(prompts, {"--shard-samples", "1000"}), folder / "killed.log");
    ASSERT_TRUE(eventually([&] {
      return !program.running() ||
             (fs::exists(folder / "out/journal/team-0.journal") && fs::file_size(folder / "out/journal/team-0.journal") > 20000);
    }));
    program.signal_all(SIGKILL);
    program.wait();
  }
  ASSERT_TRUE(fs::exists(folder / "out/journal/team-0.journal")) << "it was killed too late";
  const Ended mixed = run(generate(prompts, {"--steps", "3", "--on-change", "only-new"}));
  ASSERT_EQ(mixed.code, 0) << mixed.output;
  std::map<int, int> with_steps;
  for (const auto& [id, row] : metadata()) ++with_steps[row["steps"].get<int>()];
  EXPECT_GT(with_steps[1], 0);
  EXPECT_EQ(with_steps[1] + with_steps[3], 400);
  const Ended whole = verify();
  EXPECT_EQ(whole.code, 0) << whole.output;
}

TEST_F(OnChange, IsRefusedWhereItNamesNothing) {
  expect_refusal(generate(rows(first_row)), {"another word", {"--on-change", "ask"}, {"on-change is \"ask\"", "refuse, fork or only-new"}});
}

}  // namespace

}  // namespace pyracast::testing
