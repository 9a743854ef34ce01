#include "text/tokenizer.hpp"

#include <algorithm>

#include "tests/base/support.hpp"

namespace pyracast {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

/// A model of 1000 pieces with 100 extra ids.
const fs::path small_model = fs::path(TESTS_DIR) / "golden/opensora/sentencepiece_t5";

struct TokenizerTest : testing::Test {
  Tokenizer tokenizer{small_model};

  std::vector<int64_t> ids(const std::string& text, int64_t max_length = 300) const {
    const auto tokens = tokenizer.encode(text, max_length);
    return {tokens.ids.begin(), tokens.ids.begin() + tokens.length};
  }
};

TEST_F(TokenizerTest, PadsWithZeroBehindEos) {
  const auto tokens = tokenizer.encode("A beautiful sunset over the ocean.", 300);
  ASSERT_EQ(tokens.ids.size(), 300u);
  EXPECT_EQ(tokens.length, 15);
  EXPECT_EQ(tokens.ids[14], 1);
  EXPECT_THAT(std::vector(tokens.ids.begin() + 15, tokens.ids.end()), Each(0));
}

TEST_F(TokenizerTest, CutsALongTextAndEndsItWithEos) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += "a beautiful sunset ";
  const auto tokens = tokenizer.encode(text, 300);
  ASSERT_EQ(tokens.ids.size(), 300u);
  EXPECT_EQ(tokens.length, 300);
  EXPECT_EQ(tokens.ids.back(), 1);
  const auto longer = tokenizer.encode(text, 400);
  EXPECT_TRUE(std::equal(tokens.ids.begin(), tokens.ids.end() - 1, longer.ids.begin()));
}

TEST_F(TokenizerTest, GivesEosAloneForAnEmptyPrompt) {
  EXPECT_THAT(ids(""), ElementsAre(1));
  EXPECT_THAT(ids(" \t\n"), ElementsAre(1));
  EXPECT_THAT(tokenizer.encode("", 3).ids, ElementsAre(1, 0, 0));
  EXPECT_THAT(tokenizer.encode("a cat", 1).ids, ElementsAre(1));
}

TEST_F(TokenizerTest, UsesUnkForPiecesItDoesNotKnow) {
  const auto unknown = ids("漢");
  EXPECT_EQ(std::count(unknown.begin(), unknown.end(), 2), 1);
  EXPECT_EQ(unknown.back(), 1);
}

TEST_F(TokenizerTest, TakesSpecialTokensLiterally) {
  EXPECT_THAT(ids("<extra_id_0>"), ElementsAre(1099, 1));
  EXPECT_THAT(ids("<extra_id_99></s><pad><unk>"), ElementsAre(1000, 1, 0, 2, 1));
  EXPECT_THAT(ids("<extra_id_100>"), Each(testing::Lt(1000)));
}

TEST_F(TokenizerTest, RefusesALengthWithoutRoomForEos) { EXPECT_THROW(tokenizer.encode("a", 0), Error); }

TEST_F(TokenizerTest, ReadsTheFileAsWellAsItsFolder) {
  EXPECT_EQ(Tokenizer(small_model / "spiece.model").encode("a cat", 20).ids, tokenizer.encode("a cat", 20).ids);
}

TEST(Tokenizer, SaysWhatIsWrongWithItsFile) {
  const TemporaryFolder folder;
  EXPECT_THAT(error_of([&] { Tokenizer(folder.path()); }),
              AllOf(HasSubstr((folder / "spiece.model").string()), HasSubstr("not there"), HasSubstr("SentencePiece")));
  for (const std::string& content : {std::string(), std::string("not a model"), std::string(5000, '\xff')}) {
    const auto file = folder.write("spiece.model", content);
    EXPECT_THAT(error_of([&] { Tokenizer{file}; }), AllOf(HasSubstr(file.string()), HasSubstr("is not a SentencePiece model")));
  }
}

TEST(Tokenizer, SaysSoWhenItsFileIsCutShort) {
  const TemporaryFolder folder;
  std::ifstream in(small_model / "spiece.model", std::ios::binary);
  std::string content(std::istreambuf_iterator<char>(in), {});
  const auto file = folder.write("spiece.model", content.substr(0, content.size() / 2));
  EXPECT_THAT(error_of([&] { Tokenizer{file}; }), HasSubstr(file.string()));
}

}  // namespace
}  // namespace pyracast
