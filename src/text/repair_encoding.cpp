#include "text/repair_encoding.hpp"

#include <unicode/ucnv.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.hpp"
#include "text/html_text.hpp"
#include "text/unicode.hpp"

namespace pyracast {

namespace {

/// A one-byte encoding as a table; bytes that it leaves undefined stand for the character of the same number, which is
/// how software in the wild reads them.
using Codepage = std::array<char32_t, 256>;

Codepage codepage(const char* name) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<UConverter, decltype(&ucnv_close)> converter(ucnv_open(name, &status), ucnv_close);
  require(U_SUCCESS(status), "the encoding ", name, " is not available: ", u_errorName(status));
  Codepage table{};
  for (int byte = 0; byte < 256; ++byte) {
    const char source = char(byte);
    UChar out[4];
    UErrorCode one = U_ZERO_ERROR;
    const int32_t length = ucnv_toUChars(converter.get(), out, 4, &source, 1, &one);
    table[size_t(byte)] = U_SUCCESS(one) && length == 1 && out[0] != 0xfffd ? out[0] : char32_t(byte);
  }
  return table;
}

/// In the order in which they are tried.
const std::vector<Codepage>& codepages() {
  static const std::vector<Codepage> all = [] {
    std::vector<Codepage> tables;
    for (const char* name : {"ISO-8859-1", "windows-1252", "windows-1251", "windows-1250", "windows-1253", "windows-1254",
                             "windows-1257", "ISO-8859-2", "macintosh", "IBM437"})
      tables.push_back(codepage(name));
    return tables;
  }();
  return all;
}

std::optional<std::string> encoded(std::u32string_view text, const Codepage& table) {
  std::string bytes;
  for (const char32_t c : text) {
    if (c < 128) {
      bytes += char(c);
      continue;
    }
    size_t byte = 128;
    while (byte < 256 && table[byte] != c) ++byte;
    if (byte == 256) return std::nullopt;
    bytes += char(byte);
  }
  return bytes;
}

// A blank 0xA0 inside a character's bytes is often turned into a plain blank on its way.
void restore_byte_a0(std::string& bytes) {
  for (size_t i = 0; i + 1 < bytes.size(); ++i) {
    const auto lead = uint8_t(bytes[i]);
    if ((lead == 0xc3 || lead == 0xc2) && bytes[i + 1] == ' ') bytes[i + 1] = char(0xa0);
  }
}

bool is_utf8(std::string_view bytes) {
  try {
    require_utf8(bytes);
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// The text encoded in one of the code pages and read as UTF-8; nothing where no page gives valid UTF-8.
std::optional<std::u32string> decoded_again(const std::u32string& text) {
  const auto is_ascii = [](char32_t c) { return c < 128; };
  if (std::all_of(text.begin(), text.end(), is_ascii)) return std::nullopt;
  for (const Codepage& table : codepages()) {
    auto bytes = encoded(text, table);
    if (!bytes) continue;
    if (!is_utf8(*bytes)) restore_byte_a0(*bytes);
    if (is_utf8(*bytes)) return to_code_points(*bytes);
  }
  return std::nullopt;
}

/// Whether a character stands for a byte between `first` and `last` in one of the code pages for prose.
bool stands_for(char32_t c, size_t first, size_t last) {
  constexpr size_t prose_pages = 7;   // the windows ones and ISO 8859-1, at the head of the list
  for (size_t page = 0; page < prose_pages; ++page)
    for (size_t byte = first; byte <= last; ++byte)
      if (codepages()[page][byte] == c) return true;
  return false;
}

/// Length of what looks like one mistaken UTF-8 character of several bytes at `at`; 0 where there is none.
size_t mistaken_character(std::u32string_view text, size_t at) {
  const auto continues = [&](size_t count) {
    for (size_t i = at + 1; i <= at + count; ++i)
      if (i >= text.size() || !(text[i] == ' ' || stands_for(text[i], 0x80, 0xbf))) return false;
    return true;
  };
  const char32_t c = text[at];
  if (c < 128) return 0;
  if (stands_for(c, 0xc2, 0xdf) && continues(1)) return 2;
  if (stands_for(c, 0xe0, 0xef) && continues(2)) return 3;
  if (stands_for(c, 0xf0, 0xf3) && continues(3)) return 4;
  return 0;
}

/// Runs of mistaken characters inside text that is otherwise sound, each decoded by itself.
std::u32string decode_parts(const std::u32string& text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    size_t end = i;
    while (end < text.size()) {
      const size_t length = mistaken_character(text, end);
      if (!length) break;
      end += length;
    }
    const std::u32string part = text.substr(i, std::max<size_t>(1, end - i));
    const bool shorter = end > i && part.size() < text.size();
    out += shorter ? decoded_again(part).value_or(part) : part;
    i += part.size();
  }
  return out;
}

/// Text that was read in the wrong one-byte encoding, perhaps several times over, read again in the right one.
std::u32string decode_again(std::u32string text) {
  for (int round = 0; round < 4; ++round) {
    std::u32string mended = decoded_again(text).value_or(decode_parts(text));
    if (mended == text) break;
    text = std::move(mended);
  }
  return text;
}

std::u32string without_terminal_escapes(std::u32string_view text) {
  std::u32string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == 0x1b && i + 1 < text.size() && text[i + 1] == '[') {
      size_t end = i + 2;
      while (end < text.size() && ((text[end] >= '0' && text[end] <= '9') || text[end] == ';')) ++end;
      if (end < text.size() && ((text[end] >= 'a' && text[end] <= 'z') || (text[end] >= 'A' && text[end] <= 'Z'))) {
        i = end + 1;
        continue;
      }
    }
    out += text[i++];
  }
  return out;
}

std::u32string plain_characters(std::u32string_view text) {
  static const std::pair<char32_t, std::u32string_view> replaced[] = {
      {0x132, U"IJ"}, {0x133, U"ij"}, {0x149, U"ʼn"}, {0x1f1, U"DZ"}, {0x1f2, U"Dz"}, {0x1f3, U"dz"}, {0x1c4, U"DŽ"},
      {0x1c5, U"Dž"}, {0x1c6, U"dž"}, {0x1c7, U"LJ"}, {0x1c8, U"Lj"}, {0x1c9, U"lj"}, {0x1ca, U"NJ"}, {0x1cb, U"Nj"},
      {0x1cc, U"nj"}, {0xfb00, U"ff"}, {0xfb01, U"fi"}, {0xfb02, U"fl"}, {0xfb03, U"ffi"}, {0xfb04, U"ffl"},
      {0xfb05, U"ſt"}, {0xfb06, U"st"}, {0x3000, U" "},
      {0x2bc, U"'"}, {0x2018, U"'"}, {0x2019, U"'"}, {0x201a, U"'"}, {0x201b, U"'"},
      {0x201c, U"\""}, {0x201d, U"\""}, {0x201e, U"\""}, {0x201f, U"\""},
      {0x85, U"\n"}, {0x2028, U"\n"}, {0x2029, U"\n"}};
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
    } else if (!(c < 32 && c != '\t' && c != '\n' && c != '\f') && c != 0x7f && !(c >= 0x206a && c <= 0x206f) && c != 0xfeff &&
               !(c >= 0xfff9 && c <= 0xfffc)) {
      out += c;
    }
  }
  return out;
}

std::string repaired_line(std::string_view line, bool unescape) {
  std::string text(line);
  for (int round = 0; round < 8; ++round) {   // until nothing changes
    const std::string before = text;
    if (unescape) text = unescape_html(text);
    text = compose(to_utf8(plain_characters(decode_again(without_terminal_escapes(to_code_points(text))))));
    if (text == before) break;
  }
  return text;
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
