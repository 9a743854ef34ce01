#pragma once
#include <string>
#include <string_view>

namespace pyracast {

/// The text of an HTML document as BeautifulSoup 4 gives it over Python's html.parser: tags, comments, declarations and
/// the contents of script, style, template, rt and rp removed, character references resolved, nothing else mended.
std::string html_text(std::string_view html);

/// Python's html.unescape: character references of HTML 5 resolved, also those without a final semicolon where HTML
/// knows them.
std::string unescape_html(std::string_view text);

}  // namespace pyracast
