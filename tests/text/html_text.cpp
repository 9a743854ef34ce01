// What BeautifulSoup 4.15 over Python 3.11's html.parser, and html.unescape, give for these texts.
#include "text/html_text.hpp"

#include <gtest/gtest.h>

namespace pyracast {
namespace {

TEST(HtmlText, RemovesTagsCommentsAndDeclarations) {
  EXPECT_EQ(html_text("a <b>bold</b> move"), "a bold move");
  EXPECT_EQ(html_text("<p class='x>y'>p</p>q"), "pq");
  EXPECT_EQ(html_text("<!-- c -->d<!doctype html>e<?pi?>f"), "def");
  EXPECT_EQ(html_text("<br/>g</i>h"), "gh");
  EXPECT_EQ(html_text("<![CDATA[x]]>y"), "xy");
}

TEST(HtmlText, RemovesWhatABrowserDoesNotShow) {
  EXPECT_EQ(html_text("x<script>1<2</script>y"), "xy");
  EXPECT_EQ(html_text("<style>a{}</style>z<script>"), "z");
  EXPECT_EQ(html_text("<tEmplate>a</TEMPLATE>b"), "b");
  EXPECT_EQ(html_text("<ruby>k<rt>a</rt></ruby>"), "k");
}

TEST(HtmlText, TakesAnUnfinishedConstructAsText) {
  for (const char* text : {"a < 5", "a<", "<b", "<a href='unclosed>text", "AT&T <5>", "&#65", "a&#;b", "&amp", "&"})
    EXPECT_EQ(html_text(text), text);
}

TEST(HtmlText, ResolvesReferences) {
  EXPECT_EQ(html_text("&#65;&#x42;&#150;"), "AB–");
  EXPECT_EQ(html_text("&copy 2 &bogus; &nbsp;."), "© 2 &bogus \u00a0.");
  EXPECT_EQ(html_text("&lt;b&gt;x"), "<b>x");
}

TEST(UnescapeHtml, ResolvesReferencesWithAndWithoutSemicolon) {
  EXPECT_EQ(unescape_html("&copy 2 &bogus; &nbsp;."), "© 2 &bogus; \u00a0.");
  EXPECT_EQ(unescape_html("&#65 &#x42; &#150; &amp &notit;"), "A B – & ¬it;");
  EXPECT_EQ(unescape_html("&#0; &#xd800; &#x110000; &#1;."), "\ufffd \ufffd \ufffd .");
  EXPECT_EQ(unescape_html("&;&#;&"), "&;&#;&");
}

}  // namespace
}  // namespace pyracast
