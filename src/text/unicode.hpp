#pragma once
#include <string>
#include <string_view>

namespace pyracast {

/// Whether Python's str.isspace() is true of the character.
bool is_blank(char32_t c);
/// Of any script; pictures are symbols that stand for something, as emoji do.
bool is_letter_digit_or_picture(char32_t c);
/// Python's str.strip(): blanks at both ends removed.
std::string strip(std::string_view text);
/// Python's str.lower().
std::string lower_case(std::string_view text);
/// Python's str.upper().
std::string upper_case(std::string_view text);
/// Unicode normalisation form C.
std::string compose(std::string_view text);
/// Unicode normalisation form KC.
std::string compatible(std::string_view text);

/// UTF-8 to code points; U+FFFD where it is not UTF-8.
std::u32string to_code_points(std::string_view text);
std::string to_utf8(std::u32string_view text);
bool is_utf8(std::string_view text);
/// Throws Error naming the byte where `text` is not UTF-8.
void require_utf8(std::string_view text);

}  // namespace pyracast
