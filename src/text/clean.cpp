#include "text/clean.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>
#include <vector>

#include "base/error.hpp"
#include "text/html_text.hpp"
#include "text/repair_encoding.hpp"
#include "text/unicode.hpp"

namespace pyracast {

namespace {

/// A regular expression with Python's idea of \s: a few control characters more than PCRE's, one character less.
class Pattern {
 public:
  explicit Pattern(const char* pattern) {
    static const std::string blanks = R"(\t-\r\x{1c}-\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
    std::string expanded;
    for (const char* c = pattern; *c; ++c) {
      if (c[0] == '\\' && (c[1] == 's' || c[1] == 'S')) {
        expanded += (c[1] == 's' ? "[" : "[^") + blanks + "]";
        ++c;
      } else {
        expanded += *c;
        if (*c == '\\') expanded += *++c;
      }
    }
    int error = 0;
    PCRE2_SIZE where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expanded.c_str()), PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP,
                              &error, &where, nullptr));
    require(code_ != nullptr, "the pattern ", pattern, " is wrong at ", where);
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
  }

  std::string replace(const std::string& text, const char* replacement) const {
    std::string out(text.size() * 2 + 64, '\0');
    for (;;) {
      PCRE2_SIZE length = out.size();
      const int count = pcre2_substitute(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), 0,
                                         PCRE2_SUBSTITUTE_GLOBAL | PCRE2_SUBSTITUTE_OVERFLOW_LENGTH, nullptr, nullptr,
                                         reinterpret_cast<PCRE2_SPTR>(replacement), PCRE2_ZERO_TERMINATED,
                                         reinterpret_cast<PCRE2_UCHAR*>(out.data()), &length);
      out.resize(length);
      if (count == PCRE2_ERROR_NOMEMORY) continue;
      if (count < 0) {
        PCRE2_UCHAR message[256];
        pcre2_get_error_message(count, message, sizeof message);
        fail("cleaning the text failed: ", reinterpret_cast<const char*>(message));
      }
      return out;
    }
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
};

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
      {R"(@[\w\d]+\b)", ""},   // nicknames
      {R"([\x{31c0}-\x{31ef}]+)", ""},   // CJK strokes, phonetic extensions, enclosed, compatibility, ideographs
      {R"([\x{31f0}-\x{31ff}]+)", ""},
      {R"([\x{3200}-\x{32ff}]+)", ""},
      {R"([\x{3300}-\x{33ff}]+)", ""},
      {R"([\x{3400}-\x{4dbf}]+)", ""},
      {R"([\x{4dc0}-\x{4dff}]+)", ""},
      {R"([\x{4e00}-\x{9fff}]+)", ""},
      {R"([-\x{58a}\x{5be}\x{1400}\x{1806}\x{2010}-\x{2015}\x{2e17}\x{2e1a}\x{2e3a}\x{2e3b}\x{2e40}\x{301c}\x{3030}\x{30a0}\x{fe31}\x{fe32}\x{fe58}\x{fe63}\x{ff0d}]+)", "-"},
      {R"([`´«»“”¨])", "\""},
      {R"([‘’])", "'"},
      {R"(&quot;?)", ""},
      {R"(&amp)", ""},
      {R"(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})", " "},   // network addresses
      {R"(\d:\d\d\s+$)", ""},   // article numbers
      {R"(\\n)", " "},
      {R"(#\d{1,3}\b)", ""},
      {R"(#\d{5,}\b)", ""},
      {R"(\b\d{6,}\b)", ""},
      {R"(\S+\.(?:png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4))", ""},   // file names
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

}  // namespace pyracast
