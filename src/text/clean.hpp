#pragma once
// The caption cleaning of the published pipelines (DeepFloyd's, as Open-Sora, Latte and Open-Sora-Plan use it).
#include <string>
#include <string_view>

namespace pyracast {

/// The families differ in one thing: behind the mending of the encoding Open-Sora removes blanks around the text, Latte
/// and Open-Sora-Plan (diffusers' pipelines) keep them, and rules that look at the ends then see them.
enum class Cleaning { open_sora, diffusers };

/// One pass of all rules. Text is UTF-8 throughout; Error where it is not.
std::string clean_once(std::string_view text, Cleaning cleaning = Cleaning::open_sora);
/// Two passes: what the pipelines do.
std::string clean(std::string_view text, Cleaning cleaning = Cleaning::open_sora);
/// Whether clean() leaves a text without a letter, digit or picture: a prompt of links, tags or Chinese characters alone says nothing to a model.
bool says_nothing(std::string_view text);
/// Lower case, blanks around removed: what pipelines do with cleaning off.
std::string lower_strip(std::string_view text);
/// Mended encoding (ftfy), HTML entities resolved twice, blanks around removed.
std::string basic_clean(std::string_view text);

}  // namespace pyracast
