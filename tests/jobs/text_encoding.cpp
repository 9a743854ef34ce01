// --text-encoding once and offload: the same dataset as with the text encoder resident, each text encoded once.
#include <gmock/gmock.h>

#include <csignal>
#include <fstream>
#include <nlohmann/json.hpp>

#include "program.hpp"

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::vector<fs::path> texts_in(const fs::path& output, const std::string& ending = ".texts") {
  std::vector<fs::path> files;
  if (fs::is_directory(output / "text"))
    for (const auto& entry : fs::directory_iterator(output / "text"))
      if (entry.path().string().ends_with(ending)) files.push_back(entry.path());
  return files;
}

std::string logs_of(const fs::path& output) {
  std::string all;
  for (const auto& entry : fs::directory_iterator(output / "logs")) all += read_text(entry.path());
  return all;
}

/// Leaves a dataset that was stopped when all its texts were encoded and a video or two made. `words`: of a job of one rank, without mpirun.
void stop_behind_the_texts(const std::vector<std::string>& words, const fs::path& output, const fs::path& log) {
  Program program(words, log);
  ASSERT_TRUE(eventually([&] { return !program.running() || !texts_in(output).empty(); }));
  program.signal(SIGTERM);
  const Ended stopped = program.wait();
  ASSERT_EQ(stopped.code, 75) << stopped.output;
  ASSERT_EQ(texts_in(output).size(), 1u);
}

class TextEncodingOfFamily : public GenerateTest, public ::testing::WithParamInterface<const char*> {
 protected:
  fs::path snapshot = DEMO_SNAPSHOT, prompts;
  int texts = 0;   // distinct ones

  bool is_open_sora() const { return GetParam() == std::string("opensora-1.2"); }

  void SetUp() override {
    GenerateTest::SetUp();
    if (is_open_sora()) {
      // Three texts of the segments, one of "a star" with the run's score, one with its own, one with a camera motion; the same words once.
      prompts = file("prompts.jsonl", R"({"id": "a", "prompt": "|0|A red circle |1| a star", "samples": 2}
{"id": "b", "prompt": "a star", "aesthetic": 7}
{"id": "c", "prompt": "a star", "camera": "pan left"}
{"id": "d", "prompt": "a  STAR"}
{"id": "e", "prompt": "a star {\"reference_path\": \"a.png\", \"mask_strategy\": \"0\"}"}
)");
      texts = 4;
      return;
    }
    snapshot = folder / "snapshot";
    ASSERT_EQ(run({MAKE_TINY_SNAPSHOT, GetParam(), snapshot.string(), DEMO_SNAPSHOT}).code, 0);
    prompts = file("prompts.jsonl", R"({"id": "a", "prompt": "A red circle", "samples": 2}
{"id": "b", "prompt": "a star", "negative_prompt": "blurry, watermark, low quality, static"}
{"id": "c", "prompt": "a star", "frames": 1, "guidance": 1, "negative_prompt": "of no effect"}
{"id": "d", "prompt": "a blue square in front of a green circle", "negative_prompt": "blurry"}
)");
    texts = 6;   // three prompts, two negative ones and the empty one
  }

  std::vector<std::string> command(int ranks, const std::string& output, std::vector<std::string> more) const {
    std::vector<std::string> all{MPIEXEC, "-n", std::to_string(ranks), PYRACAST, "generate", "--model", GetParam(), "--snapshot", snapshot.string(),
                                 "--steps", "3", "--prompts", prompts.string(), "--save", "latents,embeddings",
                                 "--output", (folder / output).string()};
    if (is_open_sora()) all.insert(all.end(), {"--clips", "2", "--height", "32", "--width", "32"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

TEST_P(TextEncodingOfFamily, ChangesNoByteOnAnyRanksAndTeams) {
  const int code = is_open_sora() ? 3 : 0;   // one row names a reference that is not there: a failed sample
  const Ended resident = run(command(1, "resident", {}));
  ASSERT_EQ(resident.code, code) << resident.output;
  EXPECT_THAT(resident.output, Not(HasSubstr("texts encoded")));
  const auto expected = content_of(folder / "resident");
  EXPECT_EQ(expected.size(), 2 * 5u);
  struct Way {
    const char* name;
    int ranks;
    const char *team, *halves, *encoding;
  };
  for (const Way& way : {Way{"once", 1, "1", "false", "once"}, {"once-on-2", 2, "1", "false", "once"}, {"once-by-2", 2, "2", "false", "once"},
                         {"once-in-halves", 4, "2", "true", "once"}, {"offload", 1, "1", "false", "offload"},
                         {"offload-by-2", 2, "2", "false", "offload"}}) {
    const Ended ended = run(command(way.ranks, way.name, {"--ranks-per-video", way.team, "--cfg-parallel", way.halves,
                                                          "--text-encoding", way.encoding}));
    ASSERT_EQ(ended.code, code) << way.name << ": " << ended.output;
    EXPECT_EQ(content_of(folder / way.name), expected) << way.name;
    EXPECT_FALSE(fs::exists(folder / way.name / "text")) << "the set is whole";
    if (way.encoding == std::string("once")) {
      EXPECT_THAT(ended.output, AllOf(HasSubstr(std::to_string(texts) + " of " + std::to_string(texts) + " texts encoded"),
                                      HasSubstr("before that, while texts are encoded, at most"))) << way.name;
    }
    const Ended verified = run({PYRACAST, "verify", "--output", (folder / way.name).string()});
    EXPECT_EQ(verified.code, code) << verified.output;
  }
  if (is_open_sora()) {
    const Ended reproduced = run({PYRACAST, "reproduce", "--output", (folder / "once").string(), "--id", "a"});
    EXPECT_EQ(reproduced.code, 0) << reproduced.output;
  }
}

TEST_P(TextEncodingOfFamily, TakesOnDiskWhatIsPlanned) {
  std::vector<std::string> words = command(1, "out", {"--steps", "400", "--text-encoding", "once"});
  words.erase(words.begin(), words.begin() + 3);   // mpirun has an exit code of its own
  stop_behind_the_texts(words, folder / "out", folder / "stopped.log");
  const std::string machine = file("machine.json", R"({"ranks_per_node": 1, "cores_per_rank": 1, "teams": [{"ranks_per_video": 1,
    "seconds": {"mlp": {"per_call": 1, "per_work": 0}}}]})").string();
  *std::find(words.begin(), words.end(), "generate") = "plan";
  words.insert(words.end(), {"--machine", machine});
  const auto planned = [&](const std::string& encoding, int nodes) {
    std::vector<std::string> all = words;
    all.insert(all.end(), {"--text-encoding", encoding, "--nodes", std::to_string(nodes), "--json", "true"});
    const Ended ended = run(all);
    EXPECT_EQ(ended.code, 0) << ended.output;
    return nlohmann::json::parse(ended.output);
  };
  const auto plan = planned("once", 1), many = planned("once", 100), resident = planned("resident", 1);
  const auto bytes = fs::file_size(texts_in(folder / "out").front());
  EXPECT_EQ(plan["bytes"]["texts"], bytes);
  EXPECT_EQ(plan["text_files"], 1);
  EXPECT_EQ(many["text_files"], texts) << "at most one a text";
  EXPECT_EQ(many["bytes"]["texts"], bytes + 160 * uint64_t(texts - 1)) << "each file has a header and a seal";
  EXPECT_EQ(plan["files"], resident["files"]) << "they go with the job's end";
  EXPECT_EQ(resident["bytes"]["texts"], 0);
  EXPECT_EQ(resident["text_files"], 0);
  EXPECT_THAT(run(words).output, HasSubstr(" of encoded texts in 1 file\n"));
}

INSTANTIATE_TEST_SUITE_P(, TextEncodingOfFamily, ::testing::Values("opensora-1.2", "latte-1", "osp-1.2"), [](const auto& info) {
  std::string name = info.param;
  std::erase_if(name, [](char c) { return !std::isalnum(static_cast<unsigned char>(c)); });
  return name;
});

class TextEncoding : public GenerateTest {
 protected:
  fs::path many(int prompts) const {
    std::string lines;
    for (int i = 0; i < prompts; ++i) lines += "a star beside " + std::to_string(i) + " circles\n";
    return file("prompts.txt", lines);
  }
  std::vector<std::string> words(int ranks, const fs::path& prompts, const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> all{"--frames", "1", "--height", "16", "--width", "16", "--threads", "1", "--text-encoding", "once"};
    all.insert(all.end(), more.begin(), more.end());
    return command(ranks, prompts, output, all);
  }
  void stop_behind_the_texts(const fs::path& prompts, const std::string& output) const {
    testing::stop_behind_the_texts(words(0, prompts, output, {"--steps", "40"}), folder / output, folder / "stopped.log");
  }
};

TEST_F(TextEncoding, GoesOnWithWhatWasEncodedWhenAllRanksWereKilled) {
  const auto prompts = many(400);
  ASSERT_EQ(run(words(2, prompts, "reference", {"--text-encoding", "resident"})).code, 0);
  for (int attempt = 0; attempt < 10 && texts_in(folder / "out", ".tmp").size() != 2; ++attempt) {   // until the kill comes in time
    fs::remove_all(folder / "out");
    Program killed(words(2, prompts, "out"), folder / "killed.log");
    ASSERT_TRUE(eventually([&] {
      const auto files = texts_in(folder / "out", ".tmp");
      return !killed.running() || (files.size() == 2 && fs::file_size(files[0]) > 20000 && fs::file_size(files[1]) > 20000);
    }));
    killed.signal_all(SIGKILL);
    killed.wait();
  }
  ASSERT_EQ(texts_in(folder / "out", ".tmp").size(), 2u) << "killed while texts were encoded";
  const Ended verified = run({PYRACAST, "verify", "--output", (folder / "out").string()});
  EXPECT_EQ(verified.code, 75) << verified.output;
  const Ended ended = run(words(3, prompts, "out"));
  ASSERT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(logs_of(folder / "out"), HasSubstr("are sound and kept"));
  EXPECT_THAT(ended.output, AllOf(HasSubstr(" texts encoded, "), Not(HasSubstr("400 of 400 texts encoded")))) << ended.output;
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "reference"));
}

TEST_F(TextEncoding, StopsOnASignalWhileTextsAreEncoded) {
  const auto prompts = many(60000);   // encoding them takes many times as long as a signal needs to arrive on a busy machine
  Program program(words(2, prompts, "out"), folder / "log");
  ASSERT_TRUE(eventually([&] { return !program.running() || texts_in(folder / "out", ".tmp").size() == 2; }));
  program.signal(SIGTERM);
  const Ended stopped = program.wait();
  EXPECT_THAT(stopped.output, Not(HasSubstr("60000 of 60000 texts encoded")));
  EXPECT_THAT(logs_of(folder / "out"), HasSubstr("the job ends: more to do"));
  EXPECT_EQ(texts_in(folder / "out").size(), 2u) << "sealed";
  EXPECT_TRUE(texts_in(folder / "out", ".tmp").empty());
  EXPECT_TRUE(content_of(folder / "out").empty());
}

TEST_F(TextEncoding, EncodesNothingWhenItGoesOnBehindTheTexts) {
  const auto prompts = many(8);
  stop_behind_the_texts(prompts, "out");
  const Ended ended = run(words(2, prompts, "out", {"--steps", "40"}));
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, AllOf(HasSubstr("no text is left to be encoded"), Not(HasSubstr("texts encoded,"))));
  ASSERT_EQ(run(words(1, prompts, "reference", {"--steps", "40", "--text-encoding", "resident"})).code, 0);
  EXPECT_EQ(content_of(folder / "out"), content_of(folder / "reference"));
}

TEST_F(TextEncoding, EncodesAgainWhatIsDamagedAndSalvagesTheRest) {
  const auto prompts = many(8);
  ASSERT_EQ(run(words(1, prompts, "reference", {"--steps", "40", "--text-encoding", "resident"})).code, 0);
  struct Damage {
    const char* output;
    int64_t from_end;   ///< of the byte that is changed
    const char *says, *encoded;
  };
  for (const Damage& damage : {Damage{"embedding", -(8 * 112 + 80 + 40), "it is encoded again", "1 of 1 text encoded"},
                               Damage{"index", -300, "its index of encoded texts is not what was written", "no text is left to be encoded"}}) {
    stop_behind_the_texts(prompts, damage.output);
    const fs::path path = texts_in(folder / damage.output).front();
    std::string bytes = read_text(path);
    bytes.at(size_t(int64_t(bytes.size()) + damage.from_end)) ^= 4;
    std::ofstream(path, std::ios::binary) << bytes;
    const Ended ended = run(words(2, prompts, damage.output, {"--steps", "40"}));
    EXPECT_EQ(ended.code, 0) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr(damage.encoded)) << damage.output;
    EXPECT_THAT(logs_of(folder / damage.output), HasSubstr(damage.says));
    EXPECT_EQ(content_of(folder / damage.output), content_of(folder / "reference")) << damage.output;
  }
}

TEST_F(TextEncoding, OfAnExtendedSetEncodesWhatIsNew) {
  ASSERT_EQ(run(words(1, many(3), "out", {"--text-encoding", "resident"})).code, 0);
  const Ended more = run(words(1, many(5), "out"));
  EXPECT_EQ(more.code, 0) << more.output;
  EXPECT_THAT(more.output, HasSubstr("2 of 2 texts encoded"));
  const Ended again = run(words(1, many(5), "out"));
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("no text is left to be encoded"));
}

TEST_F(TextEncoding, IsOfNoMeaningToTheNullModelAndOneThatDoesNotExistIsRefused) {
  const auto prompts = many(2);
  const Ended null = run({PYRACAST, "generate", "--model", "null", "--prompts", prompts.string(), "--output", (folder / "null").string(),
                          "--text-encoding", "once"});
  EXPECT_EQ(null.code, 0) << null.output;
  expect_refusal(command(1, prompts, "out"), {"", {"--text-encoding", "twice"}, {"text-encoding is \"twice\", expected resident, offload or once"}});
}

TEST_F(TextEncoding, IsToldByInspectAndTakesLessMemory) {
  const auto most = [&](const char* encoding) {
    const Ended ended = run({PYRACAST, "inspect", DEMO_SNAPSHOT, "--text-encoding", encoding});
    EXPECT_EQ(ended.code, 0) << ended.output;
    return ended.output;
  };
  EXPECT_THAT(most("resident"), AllOf(HasSubstr("held by the first rank of a team alone"), Not(HasSubstr("while texts are encoded"))));
  EXPECT_THAT(most("offload"), HasSubstr("when a text is encoded, and dropped"));
  EXPECT_THAT(most("once"), AllOf(HasSubstr("while texts are encoded, at most"), HasSubstr("before the videos only")));
}

}  // namespace

}  // namespace pyracast::testing
