#include "text/html_text.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "text/unicode.hpp"

namespace pyracast {

namespace {

struct Entity {
  std::string_view name, value;   // the name with its semicolon, where it has one
};

constexpr Entity entities[] = {
#include "text/html_entities.inc"
};

std::optional<std::string_view> entity(std::string_view name) {
  const auto found = std::lower_bound(std::begin(entities), std::end(entities), name,
                                      [](const Entity& entry, std::string_view key) { return entry.name < key; });
  if (found == std::end(entities) || found->name != name) return std::nullopt;
  return found->value;
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// HTML reads the numbers 128 to 159 as windows-1252; five of them have no character there.
constexpr char32_t windows_1252[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160,
                                       0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
                                       0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e, 0x178};

/// The number of "38" or "x26"; at most 0x110000.
char32_t number_of(std::string_view digits) {
  const bool hexadecimal = !digits.empty() && (digits[0] == 'x' || digits[0] == 'X');
  char32_t number = 0;
  for (const char c : hexadecimal ? digits.substr(1) : digits) {
    const int digit = is_digit(c) ? c - '0' : (c | 32) - 'a' + 10;
    number = std::min<char32_t>(0x110000, number * (hexadecimal ? 16 : 10) + char32_t(digit));
  }
  return number;
}

std::string utf8(char32_t c) { return to_utf8(std::u32string_view(&c, 1)); }

/// Reads one document. html.parser looks at the text twice: a construct without an end stops the first look, and the
/// second takes it as text.
class HtmlReader {
 public:
  explicit HtmlReader(std::string_view html) : html_(html) {}

  std::string text() {
    look(false);
    look(true);
    flush();
    return std::move(text_);
  }

 private:
  std::string_view html_;
  size_t at_ = 0;
  std::string text_, node_;
  std::vector<std::string> hidden_;   // open elements whose text does not count
  std::string raw_element_;           // script or style: read up to its end tag

  char peek(size_t ahead) const { return at_ + ahead < html_.size() ? html_[at_ + ahead] : '\0'; }
  void data(std::string_view characters) { node_ += characters; }

  // A text node of blanks only becomes one blank.
  void flush() {
    const bool blank = !node_.empty() && node_.find_first_not_of(" \t\n\f\r") == std::string::npos;
    if (hidden_.empty()) text_ += blank ? (node_.find('\n') == std::string::npos ? " " : "\n") : node_;
    node_.clear();
  }

  void look(bool last) {
    while (at_ < html_.size()) {
      if (!raw_element_.empty() && !skip_raw()) break;
      if (at_ >= html_.size()) break;
      const size_t next = html_.find_first_of("<&", at_);
      data(html_.substr(at_, next == std::string_view::npos ? next : next - at_));
      at_ = std::min(next, html_.size());
      if (at_ == html_.size()) return;
      if (html_[at_] == '<' ? !markup(last) : !reference()) break;
    }
    if (last && at_ < html_.size()) {
      if (raw_element_.empty()) data(html_.substr(at_));
      at_ = html_.size();
    }
  }

  // Up to the end tag of script or style; false where there is none.
  bool skip_raw() {
    for (size_t i = at_; (i = html_.find("</", i)) != std::string_view::npos; ++i) {
      const std::string_view name = html_.substr(i + 2, raw_element_.size());
      if (name.size() == raw_element_.size() && lower_case(name) == raw_element_) {
        at_ = i;
        raw_element_.clear();
        return true;
      }
    }
    return false;
  }

  bool markup(bool last) {
    const char second = peek(1);
    size_t end = std::string_view::npos;
    if (is_letter(second)) end = start_tag();
    else if (second == '/') end = end_tag();
    else if (html_.substr(at_, 4) == "<!--") end = behind("-->", at_ + 4);
    else if (lower_case(html_.substr(at_, 9)) == "<![cdata[") end = character_data();
    else if (second == '!' || second == '?') end = behind(">", at_ + 2);
    else if (at_ + 1 < html_.size()) {
      data("<");
      end = at_ + 1;
    } else {
      return false;
    }
    if (end == std::string_view::npos) {
      if (!last) return false;
      end = html_.find('>', at_ + 1);
      if (end != std::string_view::npos) ++end;
      else if ((end = html_.find('<', at_ + 1)) == std::string_view::npos) end = at_ + 1;
      data(html_.substr(at_, end - at_));
    }
    at_ = end;
    return true;
  }

  size_t behind(std::string_view what, size_t from) {
    const size_t found = html_.find(what, from);
    if (found == std::string_view::npos) return found;
    flush();
    return found + what.size();
  }

  // <![CDATA[ text as it is ]]>
  size_t character_data() {
    const size_t first = at_ + 9, end = html_.find("]]>", first);
    if (end == std::string_view::npos) return end;
    flush();
    data(html_.substr(first, end - first));
    flush();
    return end + 3;
  }

  size_t start_tag() {
    size_t i = at_ + 1;
    while (i < html_.size() && !is_space(html_[i]) && html_[i] != '/' && html_[i] != '>') ++i;
    const std::string name = lower_case(html_.substr(at_ + 1, i - at_ - 1));
    // Quotes count behind an = only.
    bool value = false;
    for (; i < html_.size() && html_[i] != '>'; ++i) {
      if (value && (html_[i] == '"' || html_[i] == '\'')) {
        i = html_.find(html_[i], i + 1);
        if (i == std::string_view::npos) return i;
        value = false;
      } else if (html_[i] == '=') {
        value = true;
      } else if (!is_space(html_[i])) {
        value = false;
      }
    }
    if (i >= html_.size()) return std::string_view::npos;
    flush();
    const bool empty_element = html_[i - 1] == '/';
    if (!empty_element) {
      if (name == "script" || name == "style") raw_element_ = name;
      if (name == "script" || name == "style" || name == "template" || name == "rt" || name == "rp") hidden_.push_back(name);
    }
    return i + 1;
  }

  size_t end_tag() {
    const size_t end = html_.find('>', at_ + 1);
    if (end == std::string_view::npos) return end;
    flush();
    size_t i = at_ + 2;
    while (i < end && is_space(html_[i])) ++i;
    size_t stop = i;
    while (stop < end && !is_space(html_[stop]) && html_[stop] != '/') ++stop;
    const std::string name = lower_case(html_.substr(i, stop - i));
    if (const auto open = std::find(hidden_.rbegin(), hidden_.rend(), name); open != hidden_.rend())
      hidden_.erase(open.base() - 1, hidden_.end());
    return end + 1;
  }

  bool reference() {
    if (peek(1) == '#') return number_reference();
    if (!is_letter(peek(1))) {
      if (at_ + 1 >= html_.size()) return false;
      data("&");
      ++at_;
      return true;
    }
    size_t end = at_ + 2;
    while (end < html_.size() && (is_letter(html_[end]) || is_digit(html_[end]) || html_[end] == '-' || html_[end] == '.')) ++end;
    // A character other than a letter or digit must follow; what was taken too greedily is given back.
    size_t name_end = end;
    if (name_end == html_.size()) {
      while (name_end > at_ + 2 && html_[name_end - 1] != '-' && html_[name_end - 1] != '.') --name_end;
      if (name_end <= at_ + 2) return false;
      --name_end;
    }
    const std::string name(html_.substr(at_ + 1, name_end - at_ - 1));
    const auto found = entity(name + ";");
    data(found ? std::string(*found) : "&" + name);
    at_ = name_end + (name_end < html_.size() && html_[name_end] == ';');
    return true;
  }

  bool number_reference() {
    size_t end = at_ + 2;
    const bool hexadecimal = peek(2) == 'x' || peek(2) == 'X';
    if (hexadecimal) ++end;
    const size_t first = end;
    while (end < html_.size() && (hexadecimal ? is_hex(html_[end]) : is_digit(html_[end]))) ++end;
    const bool followed = end < html_.size() && !is_hex(html_[end]);
    if (end == first || !followed) {
      if (html_.find(';', at_) != std::string_view::npos) {
        data("&#");
        at_ += 2;
      }
      return false;
    }
    const char32_t number = number_of(html_.substr(at_ + 2, end - at_ - 2));
    if (number >= 128 && number < 160) data(utf8(windows_1252[number - 128]));
    else if (number == 0 || number > 0x10ffff || (number >= 0xd800 && number < 0xe000)) data("\xef\xbf\xbd");
    else data(utf8(number));
    at_ = end + (html_[end] == ';');
    return true;
  }
};

/// What "#123" or "#x7b" means in html.unescape.
std::string unescaped_number(std::string_view digits) {
  const char32_t number = number_of(digits);
  if (number >= 128 && number < 160) return utf8(windows_1252[number - 128]);
  if (number == 0 || number > 0x10ffff || (number >= 0xd800 && number < 0xe000)) return "\xef\xbf\xbd";
  const bool control = (number < 32 && number != 9 && number != 10 && number != 12 && number != 13) || number == 127 ||
                       number == 11 || (number >= 0xfdd0 && number <= 0xfdef) || (number & 0xfffe) == 0xfffe;
  return control ? "" : utf8(number);
}

}  // namespace

std::string html_text(std::string_view html) { return HtmlReader(html).text(); }

std::string unescape_html(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '&') {
      out += text[i++];
      continue;
    }
    size_t end = i + 1;
    if (end < text.size() && text[end] == '#') {
      ++end;
      const bool hexadecimal = end < text.size() && (text[end] == 'x' || text[end] == 'X');
      end += hexadecimal;
      const size_t first = end;
      while (end < text.size() && (hexadecimal ? is_hex(text[end]) : is_digit(text[end]))) ++end;
      if (end > first) {
        out += unescaped_number(text.substr(i + 2, end - i - 2));
        i = end + (end < text.size() && text[end] == ';');
        continue;
      }
      out += text[i++];
      continue;
    }
    // At most 32 characters up to a blank or a special one; the longest known beginning counts.
    while (end < text.size() && end - i <= 32 && std::string_view("\t\n\f <&#;").find(text[end]) == std::string_view::npos) ++end;
    std::string name(text.substr(i + 1, end - i - 1));
    if (end < text.size() && text[end] == ';') name += ';';
    size_t taken = name.size();
    std::optional<std::string_view> found;
    while (taken > 1 && !(found = entity(std::string_view(name).substr(0, taken)))) --taken;
    if (found) out += *found;
    else out += '&';
    i += found ? 1 + taken : 1;
  }
  return out;
}

}  // namespace pyracast
