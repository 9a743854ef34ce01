#include "text/clean.hpp"

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "text/html_text.hpp"
#include "text/pattern.hpp"
#include "text/repair_encoding.hpp"
#include "text/unicode.hpp"

namespace pyracast {

namespace {

struct Rule {
  Pattern pattern;
  const char* replacement;
};
using Rules = std::vector<Rule>;

std::string applied(const Rules& rules, std::string text) {
  for (const Rule& rule : rules) text = rule.pattern.replace(text, rule.replacement);
  return text;
}

Rules rules_of(std::initializer_list<std::pair<const char*, const char*>> list) {
  Rules rules;
  for (const auto& [pattern, replacement] : list) rules.push_back({Pattern(pattern), replacement});
  return rules;
}

/// Before the text is taken out of HTML.
const Rules& address_rules() {
  static const std::string domain = R"([a-zA-Z0-9.\-]+[.](?:com|co|ru|net|org|edu|gov|it)[\w/-]*\b/?(?!@))";
  static const std::string web = R"(\b(?:https?:(?:/{1,3}|[a-zA-Z0-9%])|)" + domain + ")";
  static const std::string www = R"(\b(?:www:(?:/{1,3}|[a-zA-Z0-9%])|)" + domain + ")";
  static const Rules rules = rules_of({{"<person>", "person"}, {web.c_str(), ""}, {www.c_str(), ""}});
  return rules;
}

/// Between HTML and the mending of the encoding.
const Rules& character_rules() {
  static const Rules rules = rules_of({
      {R"(@[\w\d]+\b)", ""},            // nicknames
      {R"([\x{31c0}-\x{31ef}]+)", ""},  // CJK strokes, phonetic extensions, enclosed, compatibility, ideographs
      {R"([\x{31f0}-\x{31ff}]+)", ""},
      {R"([\x{3200}-\x{32ff}]+)", ""},
      {R"([\x{3300}-\x{33ff}]+)", ""},
      {R"([\x{3400}-\x{4dbf}]+)", ""},
      {R"([\x{4dc0}-\x{4dff}]+)", ""},
      {R"([\x{4e00}-\x{9fff}]+)", ""},
      {R"([-\x{58a}\x{5be}\x{1400}\x{1806}\x{2010}-\x{2015}\x{2e17}\x{2e1a}\x{2e3a}\x{2e3b}\x{2e40}\x{301c}\x{3030}\x{30a0}\x{fe31}\x{fe32}\x{fe58}\x{fe63}\x{ff0d}]+)",
       "-"},
      {R"([`´«»“”¨])", "\""},
      {R"([‘’])", "'"},
      {R"(&quot;?)", ""},
      {R"(&amp)", ""},
      {R"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})", " "},  // network addresses
      {R"(\d:\d\d\s+$)", ""},                          // article numbers
      {R"(\\n)", " "},
      {R"(#\d{1,3}\b)", ""},
      {R"(#\d{5,}\b)", ""},
      {R"(\b\d{6,}\b)", ""},
      {R"(\S+\.(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4))", ""},  // file names
      {R"(["']{2,})", "\""},
      {R"(\.{2,})", " "},
      {R"([#®•©™&@·º½¾¿¡§~)(\]\[}{|\\/*]+)", " "},
      {R"(\s+\.\s+)", " "},
  });
  return rules;
}

/// Behind the mending of the encoding.
const Rules& word_rules() {
  static const Rules rules = rules_of({
      {R"(\b[a-zA-Z]{1,3}\d{3,15}\b)", ""},   // jc6640
      {R"(\b[a-zA-Z]+\d+[a-zA-Z]+\b)", ""},   // jc6640vc
      {R"(\b\d+[a-zA-Z]+\d+\b)", ""},         // 6640vc231
      {R"((?:worldwide\s+)?(?:free\s+)?shipping)", ""},
      {R"((?:free\s)?download(?:\sfree)?)", ""},
      {R"(\bclick\b\s(?:for|on)\s\w+)", ""},
      {R"(\b(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4)(?:\simage[s]?)?)", ""},
      {R"(\bpage\s+\d+\b)", ""},
      {R"(\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b)", " "},   // j2d1a2a
      {R"(\b\d+\.?\d*[xх×]\d+\.?\d*\b)", ""},                    // 10x20, the second x is Cyrillic
      {R"(\b\s+:\s+)", ": "},
      {R"((\D[,./])\b)", "$1 "},
      {R"(\s+)", " "},
      {R"(^["']([\w\W]+)["']$)", "$1"},
      {R"(^['_,\-:;])", ""},
      {R"(['_,\-:+]$)", ""},
      {R"(^\.\S+$)", ""},
  });
  return rules;
}

/// Percent and plus decoding of web addresses; bytes that are not UTF-8 become U+FFFD.
std::string unquote_plus(std::string_view text) {
  const auto hex = [](char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; };
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] == '%' && i + 2 < text.size() && hex(text[i + 1]) >= 0 && hex(text[i + 2]) >= 0) {
      out += char(hex(text[i + 1]) * 16 + hex(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return to_utf8(to_code_points(out));
}

/// this-is-my-cute-cat: with more than three of them, - and _ are blanks.
std::string separators_to_blanks(std::string text) {
  size_t count = 0;
  for (const char c : text) count += c == '-' || c == '_';
  if (count > 3)
    for (char& c : text)
      if (c == '-' || c == '_') c = ' ';
  return text;
}

std::string mended(std::string_view text) { return unescape_html(unescape_html(repair_encoding(text))); }

}  // namespace

std::string lower_strip(std::string_view text) { return strip(lower_case(text)); }

std::string basic_clean(std::string_view text) { return strip(mended(text)); }

std::string clean_once(std::string_view text, Cleaning cleaning) {
  require_utf8(text);
  std::string cleaned = lower_case(strip(unquote_plus(text)));
  cleaned = html_text(applied(address_rules(), cleaned));
  cleaned = mended(separators_to_blanks(applied(character_rules(), cleaned)));
  if (cleaning == Cleaning::open_sora) cleaned = strip(cleaned);
  return strip(applied(word_rules(), cleaned));
}

std::string clean(std::string_view text, Cleaning cleaning) { return clean_once(clean_once(text, cleaning), cleaning); }

namespace {

/// Whether a word of small letters between blanks leaves one of them, whatever stands around it but "click for": no rule takes it away.
bool leaves_letters(std::string_view word) {
  static constexpr std::string_view of_phrases[] = {"worldwide", "free", "page", "image", "images"}, within[] = {"shipping", "download"},
                                    before[] = {"png", "jpg", "jpeg", "bmp", "webp", "eps", "pdf", "apk"};
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; }) &&
         std::find(std::begin(of_phrases), std::end(of_phrases), word) == std::end(of_phrases) &&
         std::none_of(std::begin(within), std::end(within), [&](std::string_view part) { return word.find(part) != word.npos; }) &&
         std::none_of(std::begin(before), std::end(before), [&](std::string_view part) { return word.starts_with(part); });
}

}  // namespace

// A million captions are looked at when a job begins, and cleaning one takes longer than reading it.
bool says_nothing(std::string_view text) {
  std::string small(text);
  for (char& c : small)
    if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
  const bool without_tags = small.find_first_of("<&%") == small.npos;   // %3C is one as well
  if (without_tags && small.find("click") == small.npos)
    for (size_t begin = 0; begin < small.size();) {
      const size_t end = std::min(small.find(' ', begin), small.size());
      if (leaves_letters(std::string_view(small).substr(begin, end - begin))) return false;
      begin = end + 1;
    }
  const std::u32string left = to_code_points(clean(text));
  return std::none_of(left.begin(), left.end(), is_letter_digit_or_picture);
}

}  // namespace pyracast
