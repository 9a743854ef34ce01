#include "text/repair_encoding.hpp"

#include <algorithm>
#include <optional>

#include "text/html_text.hpp"
#include "text/pattern.hpp"
#include "text/unicode.hpp"

namespace pyracast {

namespace {

struct NamedCharacters {
  std::string_view name, members;
};

/// A one-byte encoding. Bytes that a "sloppy" one leaves undefined stand for the character of the same number, which is
/// how software in the wild reads them, and its byte 0x1A for U+FFFD, a character that was lost.
struct Codepage {
  std::string_view name;
  std::u32string_view upper;
  bool sloppy() const { return name.starts_with("sloppy"); }
};

#include "text/mojibake.inc"

std::string with_classes(std::string pattern) {
  for (const auto& [name, members] : character_classes)
    for (size_t at; (at = pattern.find(name)) != std::string::npos;) pattern.replace(at, name.size(), members);
  return pattern;
}

/// Whether the text looks as if it had been read in a wrong encoding.
bool looks_mistaken(std::string_view text) {
  static const Pattern unlikely([] {
    std::string all;
    for (const char* sequence : unlikely_sequences) all += (all.empty() ? "" : "|") + with_classes(sequence);
    return all;
  }());
  return unlikely.found_in(text);
}

std::optional<std::string> encoded(std::string_view text, const Codepage& page) {
  constexpr char lost = 0x1a;
  std::string bytes;
  for (const char32_t c : to_code_points(text)) {
    if (page.sloppy() && (c == 0xfffd || c == char32_t(lost))) {
      if (c != 0xfffd) return std::nullopt;
      bytes += lost;
    } else if (c < 128) {
      bytes += char(c);
    } else if (const size_t byte = page.upper.find(c); byte != std::u32string_view::npos) {
      bytes += char(128 + byte);
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

// A blank 0xA0 inside a character's bytes is often turned into a plain blank on its way: it is put back where the bytes
// then are a likely character. "\u00c3 la mode" was "\u00e0 la mode", a word by itself, so its blank stays too.
std::string restore_byte_a0(std::string bytes) {
  static const Pattern altered(
      R"([\xc2\xc3\xc5\xce\xd0\xd9] |[\xe2\xe3] [\x80-\x84\x86-\x9f\xa1-\xbf]|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf] )"
      R"(|\xf0 [\x80-\xbf]{2}|\xf0[\x80-\xbf] [\x80-\xbf]|\xf0[\x80-\xbf]{2} )",
      Pattern::Over::bytes);
  static const Pattern word(R"(\xc3 (?! |quele|quela|quilo|s ))", Pattern::Over::bytes);
  if (!altered.found_in(bytes)) return bytes;
  return altered.replace_each(word.replace(bytes, "\xc3\xa0 "), [](std::string_view match) {
    std::string restored(match);
    std::replace(restored.begin(), restored.end(), ' ', '\xa0');
    return restored;
  });
}

// A character some of whose bytes were lost is U+FFFD as a whole.
std::string replace_lossy_sequences(const std::string& bytes) {
  static const Pattern lossy(
      R"([\xc2-\xdf]\x1a|[\xc2-\xc3]\?|\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf])"
      R"(|\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]|[\xe0-\xef][\x1a?][\x1a\x80-\xbf])"
      R"(|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf]{2})"
      R"(|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf]{2}[\x1a?]|\x1a)",
      Pattern::Over::bytes);
  return lossy.replace(bytes, "\xef\xbf\xbd");
}

// UTF-8 as some programs write it: characters above U+FFFF as two surrogates of three bytes each, and 0 in two bytes.
std::string plain_utf8(const std::string& bytes) {
  static const Pattern variant(R"(\xed[\xa0-\xaf][\x80-\xbf]\xed[\xb0-\xbf][\x80-\xbf]|\xc0\x80)", Pattern::Over::bytes);
  return variant.replace_each(bytes, [](std::string_view match) {
    if (match.size() == 2) return std::string(1, '\0');
    const auto bits = [&](size_t i, unsigned mask) { return char32_t(uint8_t(match[i]) & mask); };
    const char32_t c = 0x10000 + (bits(1, 0x0f) << 16 | bits(2, 0x3f) << 10 | bits(4, 0x0f) << 6 | bits(5, 0x3f));
    return to_utf8(std::u32string_view(&c, 1));
  });
}

/// The text encoded in the first code page that gives valid UTF-8, and read as that.
std::optional<std::string> decoded_again(std::string_view text) {
  for (const Codepage& page : codepages) {
    auto bytes = encoded(text, page);
    if (!bytes) continue;
    if (page.name != "macroman") bytes = restore_byte_a0(*bytes);   // there it would be a dash and a blank
    if (page.sloppy()) bytes = replace_lossy_sequences(*bytes);
    bytes = plain_utf8(*bytes);
    if (is_utf8(*bytes)) return bytes;
  }
  return std::nullopt;
}

/// Control characters 0x80 to 0x9F are what windows-1252 has there.
std::string without_c1_controls(std::string_view text) {
  std::u32string out = to_code_points(text);
  for (char32_t& c : out)
    if (c >= 0x80 && c < 0xa0) c = codepages[1].upper[c - 0x80];
  return to_utf8(out);
}

std::string decode_again(std::string text);

std::string decoded_once(const std::string& text) {
  static const Pattern mistaken(with_classes(mistaken_utf8));
  if (!looks_mistaken(text)) return text;
  if (const auto whole = decoded_again(text)) return *whole;
  const std::string parts = mistaken.replace_each(text, [&](std::string_view part) {
    return part.size() < text.size() && looks_mistaken(part) ? decode_again(std::string(part)) : std::string(part);
  });
  return parts != text ? parts : without_c1_controls(text);
}

/// Text that was read in the wrong one-byte encoding, perhaps several times over, read again in the right one.
std::string decode_again(std::string text) {
  for (;;) {
    std::string mended = decoded_once(text);
    if (mended == text) return text;
    text = std::move(mended);
  }
}

/// Character references that end in a semicolon and mean one thing, also in capitals: &EACUTE; and &eacute;.
std::string unescape_unambiguous(std::string_view text) {
  static const Pattern reference("&#?[0-9A-Za-z]{1,24};");
  return reference.replace_each(text, [](std::string_view match) {
    std::string meant = unescape_html(match);
    if (meant == match && match[1] != '#' && upper_case(match) == match) {
      meant = unescape_html(lower_case(match));
      return meant.find(';') == std::string::npos ? upper_case(meant) : std::string(match);
    }
    return meant.find(';') == std::string::npos || match == "&semi;" ? meant : std::string(match);
  });
}

std::string plain_characters(std::string_view curled) {
  static const std::pair<char32_t, std::u32string_view> replaced[] = {
      {0x132, U"IJ"}, {0x133, U"ij"}, {0x149, U"ʼn"}, {0x1f1, U"DZ"}, {0x1f2, U"Dz"}, {0x1f3, U"dz"}, {0x1c4, U"DŽ"},
      {0x1c5, U"Dž"}, {0x1c6, U"dž"}, {0x1c7, U"LJ"}, {0x1c8, U"Lj"}, {0x1c9, U"lj"}, {0x1ca, U"NJ"}, {0x1cb, U"Nj"},
      {0x1cc, U"nj"}, {0xfb00, U"ff"}, {0xfb01, U"fi"}, {0xfb02, U"fl"}, {0xfb03, U"ffi"}, {0xfb04, U"ffl"},
      {0xfb05, U"ſt"}, {0xfb06, U"st"}, {0x3000, U" "},
      {0x2bc, U"'"}, {0x2018, U"'"}, {0x2019, U"'"}, {0x201a, U"'"}, {0x201b, U"'"},
      {0x201c, U"\""}, {0x201d, U"\""}, {0x201e, U"\""}, {0x201f, U"\""},
      {0x85, U"\n"}, {0x2028, U"\n"}, {0x2029, U"\n"}};
  const std::u32string text = to_code_points(curled);
  std::u32string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    const auto found = std::find_if(std::begin(replaced), std::end(replaced), [&](const auto& entry) { return entry.first == c; });
    if (found != std::end(replaced)) {
      out += found->second;
    } else if (c >= 0xff01 && c <= 0xffef) {   // full and half width forms: their compatibility equivalents
      out += to_code_points(compatible(to_utf8(std::u32string_view(&c, 1))));
    } else if (c == '\r') {
      if (i + 1 >= text.size() || text[i + 1] != '\n') out += U'\n';
    } else {
      out += c;
    }
  }
  return to_utf8(out);
}

std::string without_controls(std::string_view text) {
  static const Pattern terminal_colours(R"(\x1b\[(?:\d|;)*[a-zA-Z])");
  static const Pattern controls(R"([\x{00}-\x{08}\x{0b}\x{0e}-\x{1f}\x{7f}\x{206a}-\x{206f}\x{feff}\x{fff9}-\x{fffc}]+)");
  return controls.replace(terminal_colours.replace(text, ""), "");
}

std::string repaired_line(std::string_view line, bool unescape) {
  std::string text(line);
  for (;;) {   // until nothing changes
    const std::string before = text;
    if (unescape) text = unescape_unambiguous(text);
    text = compose(without_controls(plain_characters(without_c1_controls(decode_again(text)))));
    if (text == before) return text;
  }
}

}  // namespace

std::string repair_encoding(std::string_view text) {
  std::string out;
  bool unescape = true;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    end = end == std::string_view::npos ? text.size() : end + 1;
    const std::string_view line = text.substr(begin, end - begin);
    if (line.find('<') != std::string_view::npos) unescape = false;   // HTML that is meant: entities stay from here on
    out += repaired_line(line, unescape);
    begin = end;
  }
  return out;
}

}  // namespace pyracast
