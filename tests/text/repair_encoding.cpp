// What ftfy 6.3.1's fix_text gives for these texts.
#include "text/repair_encoding.hpp"

#include <gmock/gmock.h>

#include "text/unicode.hpp"

namespace pyracast {
namespace {

TEST(RepairEncoding, ReadsUtf8ThatWasTakenForAnotherEncodingAgain) {
  EXPECT_EQ(repair_encoding("cafÃ©"), "café");
  EXPECT_EQ(repair_encoding("Ð¿Ñ€Ð¸Ð²ÐµÑ‚"), "привет");
  EXPECT_EQ(repair_encoding("âœ” No problems"), "✔ No problems");
  EXPECT_EQ(repair_encoding("â€œquotesâ€\u009d"), "\"quotes\"");
  EXPECT_EQ(repair_encoding("ğŸ˜\u008d"), "😍");
  EXPECT_EQ(repair_encoding("doubly: Ã\u0083Â©"), "doubly: é");
}

TEST(RepairEncoding, LeavesTextAloneThatDoesNotLookMistaken) {
  for (const char* text : {"naïve café", "İ«q»", "it's ß– so", "l'été «ok»", "привет", "日本語", "İstanbul ŞĞ", "x² ½ ±3", "€5 £3"})
    EXPECT_EQ(repair_encoding(text), text);
}

TEST(RepairEncoding, MendsPartsOfATextThatIsOtherwiseSound) { EXPECT_EQ(repair_encoding("x Ã© 漢字"), "x é 漢字"); }

TEST(RepairEncoding, PutsBackWhatBecameAPlainBlank) {
  EXPECT_EQ(repair_encoding("voilÃ le travail"), "voilà le travail");
  EXPECT_EQ(repair_encoding("Ã la mode"), "à la mode");
}

TEST(RepairEncoding, MakesOneReplacementOfACharacterThatLostAByte) {
  EXPECT_EQ(repair_encoding("â€œ like this â€\ufffd"), "\" like this \ufffd");
}

TEST(RepairEncoding, JoinsSurrogatesThatWereEncodedOneByOne) { EXPECT_EQ(repair_encoding("í\u00a0½í²©"), "💩"); }

TEST(RepairEncoding, ReadsControlCharactersAsWindowsDoes) { EXPECT_EQ(repair_encoding("\u0085 and \u0093x\u0094"), "… and \"x\""); }

TEST(RepairEncoding, ResolvesReferencesThatMeanOneThing) {
  EXPECT_EQ(repair_encoding("P&EACUTE;REZ &notit; &amp;lt; &#38;"), "PÉREZ &notit; < &");
  EXPECT_EQ(repair_encoding("1 < 2 &amp;"), "1 < 2 &amp;") << "text with < is HTML that is meant";
  EXPECT_EQ(repair_encoding("&amp;\n<\n&amp;"), "&\n<\n&amp;") << "from the line on that has one";
}

TEST(RepairEncoding, MakesCharactersPlain) {
  EXPECT_EQ(repair_encoding("ＬＯＵＤ　ﬂuﬃ"), "LOUD fluffi");
  EXPECT_EQ(repair_encoding("‘a’ “b” e\u0301"), "'a' \"b\" é");
  EXPECT_EQ(repair_encoding("a\r\nb\rc\u2028d"), "a\nb\nc\nd");
  EXPECT_EQ(repair_encoding("\x1b[31mred\x1b[0m\x07"), "red");
}

TEST(RepairEncoding, ChangesNothingTheSecondTime) {
  for (const char* text : {"cafÃ©", "doubly: Ã\u0083Â©", "&amp;amp;lt;", "ＬＯＵＤ", "x Ã© 漢字", "", "\n\n"})
    EXPECT_EQ(repair_encoding(repair_encoding(text)), repair_encoding(text)) << text;
}

TEST(Utf8, NamesTheByteWhereTextIsNotUtf8) {
  EXPECT_NO_THROW(require_utf8("é漢😀"));
  for (const char* broken : {"ab\xff", "ab\xc3", "ab\xc0\x80", "ab\xed\xa0\x80", "ab\xf4\x90\x80\x80"}) {
    EXPECT_FALSE(is_utf8(broken));
    EXPECT_THAT([&] { require_utf8(broken); }, testing::Throws<std::runtime_error>(testing::Property(
        &std::runtime_error::what, testing::HasSubstr("not UTF-8 at byte 2"))));
  }
  EXPECT_EQ(to_utf8(to_code_points("ab\xff")), "ab\ufffd");
}

TEST(Utf8, CaseAndBlanksArePythons) {
  EXPECT_EQ(lower_case("ÀŽΣ İ"), "àžς i\u0307");
  EXPECT_EQ(upper_case("straße ŉ"), "STRASSE ʼN");
  EXPECT_EQ(strip("\u3000\u00a0\x1c a b \u2029"), "a b");
  EXPECT_EQ(strip("\u200bx"), "\u200bx") << "a zero-width space is no blank";
}

}  // namespace
}  // namespace pyracast
