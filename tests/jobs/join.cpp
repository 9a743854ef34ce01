// `pyracast join`: parts of a manifest, made by several jobs, as one dataset.
#include "program.hpp"

#include <gmock/gmock.h>

namespace pyracast::testing {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class Join : public GenerateTest {
 protected:
  Ended generate(const std::string& output, std::vector<std::string> more = {}) const {
    std::vector<std::string> words{
        PYRACAST, "generate", "--model", "null", "--prompts", (folder / "prompts.jsonl").string(), "--output", (folder / output).string()};
    words.insert(words.end(), more.begin(), more.end());
    return run(words);
  }
  Ended join(const std::vector<std::string>& parts, const std::string& output = "joined") const {
    std::vector<std::string> words{PYRACAST, "join", "--output", (folder / output).string()};
    for (const std::string& part : parts) words.push_back((folder / part).string());
    return run(words);
  }
  int verify(const std::string& output, const std::string& more = "") const {
    std::vector<std::string> words{PYRACAST, "verify", "--output", (folder / output).string()};
    if (!more.empty()) words.insert(words.end(), {"--prompts", (folder / more).string()});
    return run(words).code;
  }
};

TEST_F(Join, MakesTheDatasetOfOneRunOfItsPartsAndAddsPartsLater) {
  manifest(12);
  ASSERT_EQ(generate("whole").code, 0);
  for (const char* part : {"0", "1", "2"}) ASSERT_EQ(generate(std::string("part-") + part, {"--part", std::string(part) + "/3"}).code, 0);
  const Ended two = join({"part-0", "part-1"});
  ASSERT_EQ(two.code, 75) << two.output;
  EXPECT_THAT(two.output, HasSubstr("not joined: part 2/3 of the manifest"));
  EXPECT_EQ(verify("joined"), 75);
  EXPECT_EQ(verify("joined", "prompts.jsonl"), 75) << "a part is missing of the whole manifest";
  ASSERT_EQ(join({"part-2"}).code, 0);
  EXPECT_EQ(content_of(folder / "joined"), content_of(folder / "whole"));
  EXPECT_EQ(verify("joined", "prompts.jsonl"), 0);
  EXPECT_THAT(run({PYRACAST, "status", "--output", (folder / "joined").string()}).output,
              HasSubstr("no job is running, and no sample is left to be made\n")) << "none has run in it that could have been killed";
  EXPECT_THAT(read_text(folder / "joined/run.json"), AllOf(HasSubstr("\"part\": \"0/1\""), Not(HasSubstr("missing_parts"))));
  const Ended again = join({"part-0", "part-1", "part-2"});
  EXPECT_EQ(again.code, 0) << again.output;
  EXPECT_EQ(content_of(folder / "joined"), content_of(folder / "whole"));
  const Ended on = generate("joined");
  EXPECT_EQ(on.code, 0) << on.output;
  EXPECT_THAT(on.output, HasSubstr("(16 were there)")) << "a run goes on in it as in any other";
  EXPECT_EQ(run({PYRACAST, "reproduce", "--output", (folder / "joined").string(), "--count", "2"}).code, 0);
  for (const char* part : {"part-0", "part-1", "part-2"}) EXPECT_EQ(verify(part), 0) << "parts stay as they are";
}

TEST_F(Join, RefusesPartsThatDoNotBelongTogether) {
  manifest(4);
  ASSERT_EQ(generate("a").code, 0);
  ASSERT_EQ(generate("b", {"--steps", "2"}).code, 0);
  ASSERT_EQ(generate("c", {"--shard-samples", "2"}).code, 0);
  EXPECT_EQ(join({"a", "b"}, "1").code, 65);
  const Ended twice = join({"a", "c"}, "2");
  EXPECT_EQ(twice.code, 64);
  EXPECT_THAT(twice.output, HasSubstr("stands in another part as well"));
  EXPECT_EQ(join({"a", "none"}, "3").code, 64);
  EXPECT_EQ(join({}).code, 64);
}

TEST_F(Join, RefusesAFolderThatGenerateMadeAndNamesTheWayOut) {
  manifest(4);
  for (const char* part : {"0", "1"}) ASSERT_EQ(generate(std::string("part-") + part, {"--part", std::string(part) + "/2"}).code, 0);
  const auto before = content_of(folder / "part-0");
  const Ended refused = join({"part-1"}, "part-0");
  EXPECT_EQ(refused.code, 64);
  EXPECT_THAT(refused.output, AllOf(HasSubstr("was made by generate"), HasSubstr("name this one among the parts")));
  EXPECT_EQ(content_of(folder / "part-0"), before);
  EXPECT_EQ(join({"part-0", "part-1"}).code, 0);
}

TEST_F(Join, TakesItsWordsInAnyOrderAndCountsInJson) {
  manifest(4);
  ASSERT_EQ(generate("a").code, 0);
  const Ended joined = run({PYRACAST, "join", "--json", (folder / "a").string(), "--output=" + (folder / "joined").string()});
  EXPECT_EQ(joined.code, 0) << joined.output;
  EXPECT_THAT(joined.output, AllOf(HasSubstr("\"done\": 5"), HasSubstr("\"missing_parts\": []"))) << "a folder without --part has no parts";
  EXPECT_THAT(run({PYRACAST, "join", "--help"}).output, HasSubstr("--json"));
  EXPECT_EQ(run({PYRACAST, "join", "--outputs", "x", (folder / "a").string()}).code, 64);
}

}  // namespace

}  // namespace pyracast::testing
