#include "text/unicode.hpp"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

#include "base/error.hpp"

namespace pyracast {

bool is_letter_digit_or_picture(char32_t c) { return u_isalnum(UChar32(c)) || u_charType(UChar32(c)) == U_OTHER_SYMBOL; }

bool is_blank(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

std::u32string to_code_points(std::string_view text) {
  std::u32string out;
  for (int32_t i = 0; i < int32_t(text.size());) {
    UChar32 c;
    U8_NEXT_OR_FFFD(reinterpret_cast<const uint8_t*>(text.data()), i, int32_t(text.size()), c);
    out.push_back(char32_t(c));
  }
  return out;
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  icu::UnicodeString::fromUTF32(reinterpret_cast<const UChar32*>(text.data()), int32_t(text.size())).toUTF8String(out);
  return out;
}

namespace {

/// Where the first character begins that is not UTF-8; the size where all of it is.
size_t utf8_length(std::string_view text) {
  for (int32_t i = 0; i < int32_t(text.size());) {
    const int32_t at = i;
    UChar32 c;
    U8_NEXT(reinterpret_cast<const uint8_t*>(text.data()), i, int32_t(text.size()), c);
    if (c < 0) return size_t(at);
  }
  return text.size();
}

}  // namespace

bool is_utf8(std::string_view text) { return utf8_length(text) == text.size(); }

void require_utf8(std::string_view text) {
  const size_t valid = utf8_length(text);
  require(valid == text.size(), "the text is not UTF-8 at byte ", valid);
}

std::string strip(std::string_view text) {
  const std::u32string points = to_code_points(text);
  size_t begin = 0, end = points.size();
  while (begin < end && is_blank(points[begin])) ++begin;
  while (end > begin && is_blank(points[end - 1])) --end;
  return to_utf8(std::u32string_view(points).substr(begin, end - begin));
}

std::string lower_case(std::string_view text) {
  std::string out;
  icu::UnicodeString::fromUTF8({text.data(), int32_t(text.size())}).toLower(icu::Locale::getRoot()).toUTF8String(out);
  return out;
}

std::string upper_case(std::string_view text) {
  std::string out;
  icu::UnicodeString::fromUTF8({text.data(), int32_t(text.size())}).toUpper(icu::Locale::getRoot()).toUTF8String(out);
  return out;
}

namespace {

std::string normalised(std::string_view text, const icu::Normalizer2* (*form)(UErrorCode&)) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* normalizer = form(status);
  require(U_SUCCESS(status), "Unicode normalisation is not available: ", u_errorName(status));
  std::string out;
  normalizer->normalize(icu::UnicodeString::fromUTF8({text.data(), int32_t(text.size())}), status).toUTF8String(out);
  require(U_SUCCESS(status), "Unicode normalisation failed: ", u_errorName(status));
  return out;
}

}  // namespace

std::string compose(std::string_view text) { return normalised(text, icu::Normalizer2::getNFCInstance); }

std::string compatible(std::string_view text) { return normalised(text, icu::Normalizer2::getNFKCInstance); }

}  // namespace pyracast
