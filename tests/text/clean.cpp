#include "text/clean.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace pyracast {
namespace {

TEST(Clean, RemovesWebAddresses) {
  EXPECT_EQ(clean("see https://www.example.com/a/b for a cat"), "see for a cat");
  EXPECT_EQ(clean("a dog from site.org/path runs"), "a dog from runs");
  EXPECT_EQ(clean("write to me@site.org now"), "write to me now");
}

TEST(Clean, RemovesNicknamesNumbersOfArticlesAndFileNames) {
  EXPECT_EQ(clean("a cat @nick_1 on a mat"), "a cat on a mat");
  EXPECT_EQ(clean("a chair jc6640 in 12345678 red"), "a chair in red");
  EXPECT_EQ(clean("look photo_1.jpg here"), "look here");
  EXPECT_EQ(clean("at 10.0.0.1 a server hums"), "at a server hums");
  EXPECT_EQ(clean("a box 10x20 large"), "a box large");
}

TEST(Clean, RemovesChineseAndKeepsOtherScripts) {
  EXPECT_EQ(clean("a 汉字 sign"), "a sign");
  EXPECT_EQ(clean("ひらがな привет 한국어"), "ひらがな привет 한국어");
}

TEST(Clean, DecodesPercentAndPlusAndMarkup) {
  EXPECT_EQ(clean("a+red%20fox%C3%A9"), "a red foxé");
  EXPECT_EQ(clean("a <b>bold</b> &lt;i&gt;move"), "a bold move");
  EXPECT_EQ(clean("<person> walks"), "person walks");
  EXPECT_EQ(clean("100% sure"), "100% sure");
}

TEST(Clean, MakesSeparatorsBlanksWhereThereAreMany) {
  EXPECT_EQ(clean("this-is-my-cute-cat"), "this is my cute cat");
  EXPECT_EQ(clean("a well-known cat"), "a well-known cat");
}

TEST(Clean, MakesQuotesAndDashesPlain) {
  EXPECT_EQ(clean("he said “no” — ‘never’"), "he said \"no\" - 'never");
  EXPECT_EQ(clean("\"a quoted prompt\""), "a quoted prompt");
}

TEST(Clean, LowersAndStrips) {
  EXPECT_EQ(clean("  A Cat,\n\tRUNNING.  "), "a cat, running.");
  EXPECT_EQ(lower_strip("\u3000A Cat &amp; <b>\n"), "a cat &amp; <b>");
  EXPECT_EQ(basic_clean(" A &amp;amp; B <3 "), "A & B <3");
}

TEST(Clean, GivesNothingForNothing) {
  EXPECT_EQ(clean(""), "");
  EXPECT_EQ(clean(" \n\t "), "");
  EXPECT_EQ(clean("https://www.example.com"), "");
}

TEST(Clean, IsTwoPasses) {
  for (const char* text : {"&amp;lt;b&amp;gt;x", "a+%2541 b", "cafÃ© <i>x</i>", "a-b-c-d-e", "''quoted''"})
    EXPECT_EQ(clean(text), clean_once(clean_once(text))) << text;
}

TEST(Clean, DiffusersKeepsBlanksAtTheEndsForTheRulesThatLookThere) {
  EXPECT_EQ(clean_once("a cat: <b> </b>", Cleaning::open_sora), "a cat");
  EXPECT_NE(clean_once("a cat: <b> </b>", Cleaning::diffusers), "");
}

TEST(Clean, RefusesWhatIsNotUtf8) { EXPECT_THROW(clean("a \xff cat"), Error); }

TEST(Clean, MayLeaveNothingThatSaysAnything) {
  for (const char* const text : {"   ", "<br>", "https://x.com/a", "\u00a0\u200b", "...", "\u4e00\u53ea\u732b", "worldwide free shipping", "@nick_1"})
    EXPECT_TRUE(says_nothing(text)) << text;
  for (const char* const text : {"a cat", "1", "\U0001f408", "\u00e9t\u00e9", "\u4e00 cat", "worldwide free shipping of a red cat and a dog"})
    EXPECT_FALSE(says_nothing(text)) << text;
}

// Most texts are not cleaned to find that out: the answer is the same.
TEST(Clean, LeavesNothingWhereItsTextSaysNothing) {
  const char* const words[] = {"cat", "A", "worldwide", "Free", "shipping", "download", "click", "for", "on", "PDF", "pdfs", "images", "<b>", "<a",
                               "&lt;b", "%3Cb", ">", "@nick", "x.com", "a.png", "page", "1", "...", "\u732b", "reshipping", "downloadshipping"};
  for (const char* const first : words)
    for (const char* const second : words)
      for (const char* const third : words) {
        const std::string text = concat(first, ' ', second, ' ', third);
        const std::u32string left = to_code_points(clean(text));
        ASSERT_EQ(says_nothing(text), std::none_of(left.begin(), left.end(), is_letter_digit_or_picture)) << text;
      }
}

TEST(Clean, ManagesALongPrompt) {
  std::string text;
  for (int i = 0; i < 20000; ++i) text += "a cat & a \"dog\" ";
  EXPECT_GT(clean(text).size(), 200000u);
}

}  // namespace
}  // namespace pyracast
